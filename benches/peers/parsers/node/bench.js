// The cases of ../src/main.rs for the official parsers, as lines of JSON: the fastest of many short samples.
// node --expose-gc --min-semi-space-size=256 --max-semi-space-size=256 bench.js [quick]
// `bytes` is what the heap grows by without a collection; allocations are not counted.
const { readFileSync } = require("fs");
const { Encoder, Decoder, PacketType } = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");
const engine = require("engine.io-parser");

const quick = process.argv[2] === "quick";
const object = JSON.parse(readFileSync(__dirname + "/../../../codec/fixtures/obj1k.json", "utf8"));
let sink = 0;

function bench(name, who, whole, op) {
  for (let i = 0; i < 30000; i++) op(); // for the JIT
  let times = 1000;
  let fastest = Infinity;
  for (let sample = 0; sample < (quick ? 5 : 50); ) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < times; i++) op();
    const nanos = Number(process.hrtime.bigint() - start);
    if (nanos < 4e6) {
      times *= 2;
      continue;
    }
    fastest = Math.min(fastest, nanos / times);
    sample++;
  }
  global.gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 2000; i++) op();
  const bytes = (process.memoryUsage().heapUsed - before) / 2000;
  console.log(JSON.stringify({ case: name, who: `${who}, Node.js`, kind: "peer", whole, ns: fastest, bytes }));
}

const encoder = new Encoder();
const decoder = new Decoder();
decoder.on("decoded", (packet) => (sink += packet.data.length));
const msgpackEncoder = new msgpack.Encoder();
const msgpackDecoder = new msgpack.Decoder();
msgpackDecoder.on("decoded", (packet) => (sink += packet.data.length));

const event = (...data) => ({ type: PacketType.EVENT, data, nsp: "/" });
const small = '2["chat","hello world"]';
const blob = Buffer.alloc(1024, 7);
const pair = { a: blob, b: blob };
const head = '52-["up",{"a":{"_placeholder":true,"num":0},"b":{"_placeholder":true,"num":1}}]';
// A string for each packet, as from the network: V8 works on one flat constant faster.
const smallBytes = Buffer.from(small);
const bigBytes = Buffer.from(`2["chat",${JSON.stringify(object)}]`);
const headBytes = Buffer.from(head);

bench("decode small", "socket.io-parser", true, () => decoder.add(smallBytes.toString()));
bench("decode small", "socket.io-parser, string ready", false, () => decoder.add(small));
bench("decode 1 KiB", "socket.io-parser", true, () => decoder.add(bigBytes.toString()));
bench("decode 2 x 1 KiB binary", "socket.io-parser", true, () => {
  decoder.add(headBytes.toString());
  decoder.add(blob);
  decoder.add(blob);
});
const [smallMsgpack] = msgpackEncoder.encode(event("chat", "hello world"));
const [pairMsgpack] = msgpackEncoder.encode(event("up", pair));
bench("decode small, msgpack", "socket.io-msgpack-parser", true, () => msgpackDecoder.add(smallMsgpack));
bench("decode 2 x 1 KiB binary, msgpack", "socket.io-msgpack-parser", true, () => msgpackDecoder.add(pairMsgpack));

const frames = (packet) => {
  for (const data of encoder.encode(packet)) {
    engine.encodePacket({ type: "message", data }, true, (frame) => (sink += frame.length));
  }
};
bench("encode small", "socket.io-parser and engine.io-parser", true, () => frames(event("chat", "hello world")));
bench("encode 1 KiB", "socket.io-parser and engine.io-parser", true, () => frames(event("chat", object)));
bench("encode 2 x 1 KiB binary", "socket.io-parser and engine.io-parser", true, () => frames(event("up", pair)));
const message = (packet) => (sink += msgpackEncoder.encode(packet)[0].length);
bench("encode small, msgpack", "socket.io-msgpack-parser", true, () => message(event("chat", "hello world")));
bench("encode 2 x 1 KiB binary, msgpack", "socket.io-msgpack-parser", true, () => message(event("up", pair)));

const packetBytes = Buffer.from("4" + small);
bench("decode 1 packet of Engine.IO", "engine.io-parser", true, () => {
  sink += engine.decodePacket(packetBytes.toString(), "nodebuffer").data.length;
});
const payloadBytes = Buffer.from(Array(16).fill("4" + small).join("\x1e"));
bench("decode payload of 16", "engine.io-parser", true, () => {
  sink += engine.decodePayload(payloadBytes.toString(), "nodebuffer").length;
});
const packets = Array.from({ length: 16 }, () => ({ type: "message", data: small }));
bench("encode payload of 16", "engine.io-parser", true, () => engine.encodePayload(packets, (body) => (sink += body.length)));

if (sink < 0) console.log(sink);
