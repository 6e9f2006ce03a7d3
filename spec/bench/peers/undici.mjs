// undici: undici.mjs URL COUNT IN_FLIGHT: status calls, IN_FLIGHT at a time, decoded: over one HTTP/2 connection, or over
// IN_FLIGHT kept ones where plain. Finds undici in the folder that UNDICI names.
import { createRequire } from "node:module";
const { Pool } = createRequire(process.env.UNDICI + "/")("undici");
const [url, count, inFlight] = [new URL(process.argv[2]), Number(process.argv[3]), Number(process.argv[4])];

const tls = url.protocol === "https:";
const pool = new Pool(url.origin, tls
  ? { allowH2: true, connections: 1, pipelining: inFlight, maxConcurrentStreams: inFlight }
  : { connections: inFlight, pipelining: 1 });
const headers = { authorization: "Bearer bench-key", accept: "application/json" };
const prefix = url.pathname.replace(/\/$/, "") + "/api/v1/veo/record-info?taskId=bench";
let next = 0;

async function worker() {
  while (next < count) {
    const id = String(next++).padStart(8, "0");
    const reply = await pool.request({ method: "GET", path: prefix + id, headers });
    const body = await reply.body.json();
    if (reply.statusCode !== 200 || body.data.successFlag !== 1) throw new Error("not the reply that was expected");
  }
}

await Promise.all(Array.from({ length: inFlight }, worker));
await pool.close();
