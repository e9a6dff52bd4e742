// What a Node program does every day: files, worker threads, compiled code, a child process, and a fetch.
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { Worker, isMainThread, parentPort } = require("node:worker_threads");

// (module (func (export "six_times_seven") (result i32) i32.const 42))
const WASM = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 19, 1, 15, 115, 105, 120, 95, 116, 105, 109, 101,
  115, 95, 115, 101, 118, 101, 110, 0, 0, 10, 6, 1, 4, 0, 65, 42, 11,
]);

function hotLoop() {
  let sum = 0;
  for (let round = 0; round < 5_000_000; ++round) sum = (sum + round * round) % 1_000_003;
  return sum;
}

function askWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename);
    worker.on("message", resolve);
    worker.on("error", reject);
  });
}

async function main() {
  fs.writeFileSync("/tmp/file", "text");
  console.log(`files=${fs.readFileSync("/tmp/file", "utf8")}`);
  console.log(`compiled=${hotLoop()}`);
  console.log(`wasm=${new WebAssembly.Instance(new WebAssembly.Module(WASM)).exports.six_times_seven()}`);
  console.log(`workers=${(await Promise.all([askWorker(), askWorker(), askWorker()])).join(",")}`);
  console.log(`child=${execFileSync("/usr/bin/echo", ["spoken"]).toString().trim()}`);
  console.log(`local_fetch=${await (await fetch("data:text/plain,here")).text()}`);
  try {
    await fetch("http://127.0.0.1:8080/");
    console.log("fetch=answered");
  } catch (error) {
    console.log(`fetch=${error.cause.code}`);
  }
}

if (isMainThread) {
  main();
} else {
  parentPort.postMessage(hotLoop());
}
