// Node's built-in fetch: download.mjs URL FILE: streams the body into the file.
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const reply = await fetch(process.argv[2]);
if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
await pipeline(Readable.fromWeb(reply.body), createWriteStream(process.argv[3]));
