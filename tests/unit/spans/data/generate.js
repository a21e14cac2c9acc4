// One trace of the real JavaScript SDK, through its exporters: `node generate.js DIRECTORY` where the packages are
// found (@opentelemetry/api, resources, sdk-trace-node, exporter-zipkin, otlp-transformer).
const fs = require("fs");
const http = require("http");
const path = require("path");
const { SpanKind, SpanStatusCode, context, trace } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, ConsoleSpanExporter, InMemorySpanExporter, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-node");
const { ZipkinExporter } = require("@opentelemetry/exporter-zipkin");
const { JsonTraceSerializer } = require("@opentelemetry/otlp-transformer");

const directory = process.argv[2];
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop", "deployment.environment": "test" }),
  spanProcessors: [new SimpleSpanProcessor(memory)],
});
const tracer = provider.getTracer("shop.web", "1.2");
const at = (ms) => [1700000000, ms * 1e6];
const server = tracer.startSpan("POST /Orders", {
  kind: SpanKind.SERVER,
  startTime: at(0),
  attributes: { "http.request.method": "POST", "http.response.status_code": 201, cached: false, ids: [1, 2], ratio: 0.5 },
});
const step = tracer.startSpan("reserve", { startTime: at(1), attributes: { item: "book" } }, trace.setSpan(context.active(), server));
const query = tracer.startSpan("SELECT stock", { kind: SpanKind.CLIENT, startTime: at(2), attributes: { "db.system": "postgresql" } }, trace.setSpan(context.active(), step));
query.addEvent("row lock", { rows: 3 }, at(2.5));
query.setStatus({ code: SpanStatusCode.ERROR, message: "no stock" });
query.end(at(3));
step.end(at(4));
server.setStatus({ code: SpanStatusCode.OK });
server.end(at(5));

const spans = memory.getFinishedSpans();
fs.writeFileSync(path.join(directory, "js-otlp.json"), JsonTraceSerializer.serializeRequest(spans));
const lines = [];
const dir = console.dir;
console.dir = (item) => lines.push(require("util").inspect(item, { depth: 3 }));
new ConsoleSpanExporter().export(spans, () => {});
console.dir = dir;
fs.writeFileSync(path.join(directory, "js-console.txt"), lines.join("\n") + "\n");
const receiver = http.createServer((request, response) => {
  const body = [];
  request.on("data", (piece) => body.push(piece));
  request.on("end", () => {
    fs.writeFileSync(path.join(directory, "js-zipkin.json"), Buffer.concat(body));
    response.writeHead(202).end();
  });
});
receiver.listen(0, "127.0.0.1", () => {
  const exporter = new ZipkinExporter({ url: `http://127.0.0.1:${receiver.address().port}/api/v2/spans`, serviceName: "shop" });
  exporter.export(spans, () => receiver.close());
});
