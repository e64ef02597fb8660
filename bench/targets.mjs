// What the project asks of itself: limits that have to hold, and targets against the peers.
import { peers } from "./peers.mjs";
import { models, precisions } from "./places.mjs";

const kib = (bytes) => `${(bytes / 1024).toLocaleString("en-US", { maximumFractionDigits: 0 })} KiB`;
const time = (value) => `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ms`;
const small = (value) => value.toExponential(1);

/** The project's own limits, each with what was measured for it; "not measured" where nothing was. */
export function limits({ measurements }) {
  const found = (device, pick, isWanted = () => true, only) =>
    measurements
      .filter((one) => one.device === device && (!only || one.model === only))
      .flatMap(({ model, results, range }) => results.filter((one) => one.peer === "firebrand" && !one.failed && isWanted(one)).map((one) => ({ model, precision: one.precision, value: pick(one, range) })));
  const limit = (what, values, most, show) => {
    if (values.length === 0) return { what, verdict: "not measured", measured: "–" };
    const worst = values.reduce((a, b) => (b.value > a.value ? b : a));
    return { what, verdict: worst.value <= most ? "PASS" : "FAIL", measured: `${show(worst.value)} (${models[worst.model].title}, ${precisions[worst.precision]})` };
  };
  // A model with rare operators fetches the runtime that has all of them, too.
  const isSmall = ({ download }) => !download.files.some(({ path }) => path.includes("/cpu-all/"));
  const isFloat = ({ precision }) => precision === "f32";
  // Of the range of the answer, since logits span more than probabilities.
  const share = ({ difference }, range) => difference / range;
  return [
    limit("CPU runtime, all its files: at most 400 KiB brotli", found("cpu", ({ download }) => download.brotli, isSmall), 400 * 1024, kib),
    limit("WebGPU runtime, all its files: at most 2000 KiB brotli", found("webgpu", ({ download }) => download.brotli), 2000 * 1024, kib),
    limit("WebGPU runtime, all its files: at most 12 MiB raw", found("webgpu", ({ download }) => download.raw), 12 * 1024 * 1024, kib),
    limit("longest task of the page on the CPU, loading and running: at most 50 ms", found("cpu", ({ stall }) => stall.taskCpuMs), 50, time),
    limit("longest task of the page on WebGPU, loading and running: at most 50 ms", found("webgpu", ({ stall }) => stall.taskCpuMs), 50, time),
    limit("first WebGPU answer on SwiftShader: at most 10 s", found("webgpu", ({ cold }) => cold.totalMs), 10_000, time),
    limit("float32 on the CPU: within 1e-5 of the answer's range of ONNX Runtime's", found("cpu", share, isFloat), 1e-5, small),
    // One step of SqueezeNet's quantised logits moves a probability by 0.03, and rounding decides such steps.
    limit("int8 on the CPU: within 0.05 of the answer's range of the same graph computed in floats", found("cpu", share, (one) => !isFloat(one)), 0.05, small),
    limit("MobileNetV2 in int8 on the CPU: within 0.05 of it", found("cpu", ({ difference }) => difference, (one) => !isFloat(one), "mobilenetv2"), 0.05, small),
    limit("float32 on WebGPU: within 1e-3 of the answer's range of ONNX Runtime's", found("webgpu", share), 1e-3, small),
  ];
}

/** Whether work that is not the benchmark's, which itself keeps one core busy, wanted the CPU too. */
export const isShared = ({ loadBefore, loadAfter }) => loadBefore > 0.5 || loadAfter > 2;

/** The ratio that counts: the clock's, or on a shared machine that of CPU time, where it is known. */
export const deciding = (machine, measured) => (isShared(machine) && measured.byCpu ? measured.byCpu : measured).median;

/**
 * Targets are parts of a peer's time in the same run, but for the peak of the machine and for two threads: what, against
 * whom, what is wanted and what was measured; `reason`: why nothing that counts could be.
 */
export function targets({ machine, measurements, native }) {
  const onCpu = (model) => measurements.find((one) => one.device === "cpu" && one.model === model);
  const result = (model, precision, peer) => onCpu(model)?.results.find((one) => one.peer === peer && one.precision === precision && !one.failed);
  const target = (what, against, most, measured) => ({ what, against, wanted: `≤ ${most.toFixed(2)}`, measured, verdict: measured ? (deciding(machine, measured) <= most ? "PASS" : "FAIL") : "not measured" });

  const against = (model, precision, peer, most) => target(`${models[model].title} ${precisions[precision]}`, peers[peer].title, most, result(model, precision, peer)?.steady.ratio);
  const best = (model, precision, most) => {
    const others = (onCpu(model)?.results ?? []).filter((one) => !["firebrand", "flex"].includes(one.peer) && !peers[one.peer].isVariant && one.precision === precision && one.steady?.ratio);
    const quickest = others.length ? others.reduce((a, b) => (deciding(machine, b.steady.ratio) > deciding(machine, a.steady.ratio) ? b : a)) : undefined;
    return target(`${models[model].title} ${precisions[precision]}`, quickest ? `best peer: ${peers[quickest.peer].title}` : "best peer", most, quickest?.steady.ratio);
  };
  const itself = (model, most) => target(`${models[model].title} int8`, "itself in float32", most, result(model, "int8", "firebrand")?.steady.ofFloat);
  const start = () => {
    const [ours, theirs] = ["firebrand", "litert"].map((peer) => result("mobilenetv2", "int8", peer)?.cold);
    const part = (key) => (Number.isFinite(ours[key] / theirs[key]) ? { median: ours[key] / theirs[key] } : undefined);
    const measured = ours && theirs && { ...part("totalMs"), byCpu: part("cpuMs") };
    return target("cold start to the first answer, MobileNetV2 int8", peers.litert.title, 0.35, measured);
  };
  /** The convolutions of the residual blocks, all 1×1 and 3×3: what they would take at the machine's peak, of what they take. */
  const ofPeak = (precision) => {
    const nodes = result("resnet18", precision, "firebrand")?.profile?.filter(({ name, multiplyAdds }) => name.startsWith("layer") && multiplyAdds > 0);
    const sum = (key) => nodes.reduce((total, node) => total + node[key], 0);
    const share = nodes?.length ? sum("peakMs") / sum("ms") : undefined;
    return { what: `1×1 and 3×3 convolutions of ResNet-18, ${precisions[precision]}`, against: "the machine's measured peak", wanted: "≥ 0.70", measured: share && { median: share }, verdict: share ? (share >= 0.7 ? "PASS" : "FAIL") : "not measured" };
  };
  /** By the clock alone, since two threads take no less CPU time than one; which means nothing while others want the second core. */
  const threads = (model, precision) => {
    const two = onCpu(model)?.results.find((one) => one.peer === "firebrand-threads" && one.precision === precision);
    const ratio = two?.steady?.ratio;
    const measured = ratio && { median: ratio.median, least: ratio.least, most: ratio.most };
    const reason = two?.failed ?? (measured && isShared(machine) ? "other work wanted the cores too" : undefined);
    return { what: `two threads, ${models[model].title} ${precisions[precision]}`, against: "itself with one, how often as quick", wanted: "≥ 1.70", measured, reason, verdict: measured && !reason ? (measured.median >= 1.7 ? "PASS" : "FAIL") : "not measured" };
  };
  const natively = (precision) => {
    const found = native?.results?.find((one) => one.model === "mobilenetv2" && one.precision === precision);
    return target(`native, MobileNetV2 ${precisions[precision]}`, `onnxruntime ${native?.onnxruntime ?? ""}`.trim(), 1, found?.ratio);
  };
  return [
    against("mobilenetv2", "int8", "litert", 0.7),
    against("mobilenetv2", "f32", "litert", 0.8),
    best("resnet18", "int8", 0.75),
    best("resnet18", "f32", 0.8),
    best("squeezenet", "int8", 0.75),
    best("squeezenet", "f32", 0.8),
    best("minilm", "int8", 0.6),
    best("minilm", "f32", 0.7),
    ...["mobilenetv2", "resnet18", "squeezenet", "minilm"].map((model) => itself(model, 0.85)),
    ...["efficientnet", "mnist"].map((model) => itself(model, 1)),
    ...["mobilenetv2", "resnet18"].map((model) => against(model, "f32", "flex", 0.45)),
    start(),
    ...["mobilenetv2", "resnet18", "minilm"].flatMap((model) => ["f32", "int8"].map((precision) => threads(model, precision))),
    ofPeak("int8"),
    ofPeak("f32"),
    natively("int8"),
    natively("f32"),
  ];
}
