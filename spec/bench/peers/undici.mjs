// undici: undici.mjs URL COUNT IN_FLIGHT: status calls over IN_FLIGHT kept connections, decoded.
// Finds undici in the folder that UNDICI names.
import { createRequire } from "node:module";
const { Pool } = createRequire(process.env.UNDICI + "/")("undici");
const [url, count, inFlight] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

const pool = new Pool(url, { connections: inFlight, pipelining: 1 });
const headers = { authorization: "Bearer bench-key", accept: "application/json" };
let next = 0;

async function worker() {
  while (next < count) {
    const id = String(next++).padStart(8, "0");
    const reply = await pool.request({ method: "GET", path: `/api/v1/veo/record-info?taskId=bench${id}`, headers });
    const body = await reply.body.json();
    if (reply.statusCode !== 200 || body.data.successFlag !== 1) throw new Error("not the reply that was expected");
  }
}

await Promise.all(Array.from({ length: inFlight }, worker));
await pool.close();
