// Node's built-in fetch: fetch.mjs URL COUNT: status calls one after the other, decoded.
const [url, count] = [process.argv[2], Number(process.argv[3])];
const headers = { authorization: "Bearer bench-key", accept: "application/json" };

for (let i = 0; i < count; i++) {
  const id = String(i).padStart(8, "0");
  const reply = await fetch(`${url}/api/v1/veo/record-info?taskId=bench${id}`, { headers });
  const body = await reply.json();
  if (!reply.ok || body.data.successFlag !== 1) throw new Error("not the reply that was expected");
}
