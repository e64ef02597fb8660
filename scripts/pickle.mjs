// Reads a Python pickle as data. A pickle is a program: the only names it may call are those the
// caller lists, each answered by a function of ours; any other name ends the reading.

const MARK = Symbol("mark");

export class PickleError extends Error {
  constructor(position, message) {
    super(`pickle, byte ${position}: ${message}`);
    this.name = "PickleError";
  }
}

/**
 * One pickle, from `offset` to its STOP.
 * `globals`: { "module name": { reduce?(args), build?(object, state) } }, the names it may use.
 * `persistent(id)`: what a persistent id stands for; without it such ids are refused.
 * Returns { value, end }. Dictionaries come as Map, tuples and lists as Array, integers past 2^53 as bigint.
 */
export function readPickle(bytes, { offset = 0, globals = {}, persistent } = {}) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder("utf-8", { fatal: true });
  const stack = [];
  const memo = new Map();
  const builders = new Map();
  let at = offset;

  const fail = (message) => {
    throw new PickleError(at, message);
  };
  const take = (count) => {
    if (at + count > bytes.byteLength) fail(`expected ${count} more bytes, the file ends after ${bytes.byteLength - at}: it is cut short`);
    const start = at;
    at += count;
    return start;
  };
  const slice = (count) => {
    const start = take(count);
    return bytes.subarray(start, start + count);
  };
  const pop = () => {
    if (stack.length === 0 || stack.at(-1) === MARK) fail("a value was expected on the stack");
    return stack.pop();
  };
  const popToMark = () => {
    const start = stack.lastIndexOf(MARK);
    if (start < 0) fail("a mark was expected on the stack");
    const items = stack.splice(start);
    items.shift();
    return items;
  };
  const top = (type, name) => {
    const value = stack.at(-1);
    if (!(value instanceof type)) fail(`${name} was expected on the stack`);
    return value;
  };
  const line = () => {
    const end = bytes.indexOf(10, at);
    if (end < 0) fail("a line without end: the file is cut short");
    const value = text.decode(bytes.subarray(at, end));
    at = end + 1;
    return value;
  };
  const recall = (key) => {
    if (!memo.has(key)) fail(`memo entry ${key} was never stored`);
    stack.push(memo.get(key));
  };
  const setItems = (items) => {
    const map = top(Map, "a dictionary");
    if (items.length % 2) fail("a key without value");
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  };

  for (;;) {
    const code = bytes[take(1)];
    switch (String.fromCharCode(code)) {
      case "\x80": {
        const protocol = bytes[take(1)];
        if (protocol > 3) fail(`protocol ${protocol}; protocols up to 3 can be read`);
        break;
      }
      case ".":
        return { value: pop(), end: at };
      case "(": stack.push(MARK); break;
      case "}": stack.push(new Map()); break;
      case "]": stack.push([]); break;
      case ")": stack.push([]); break;
      case "N": stack.push(null); break;
      case "\x88": stack.push(true); break;
      case "\x89": stack.push(false); break;
      case "K": stack.push(bytes[take(1)]); break;
      case "M": stack.push(view.getUint16(take(2), true)); break;
      case "J": stack.push(view.getInt32(take(4), true)); break;
      case "G": stack.push(view.getFloat64(take(8), false)); break;
      case "\x8a": {
        const digits = slice(bytes[take(1)]);
        let value = 0n;
        for (let i = digits.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(digits[i]);
        value = BigInt.asIntN(digits.length * 8, value);
        stack.push(Number.isSafeInteger(Number(value)) ? Number(value) : value);
        break;
      }
      case "X": stack.push(text.decode(slice(view.getUint32(take(4), true)))); break;
      case "B": stack.push(slice(view.getUint32(take(4), true))); break;
      case "C": stack.push(slice(bytes[take(1)])); break;
      case "t": stack.push(popToMark()); break;
      case "\x85": stack.push([pop()]); break;
      case "\x86": { const b = pop(); stack.push([pop(), b]); break; }
      case "\x87": { const c = pop(); const b = pop(); stack.push([pop(), b, c]); break; }
      case "a": { const item = pop(); top(Array, "a list").push(item); break; }
      case "e": { const items = popToMark(); const list = top(Array, "a list"); for (const item of items) list.push(item); break; }
      case "s": { const value = pop(); setItems([pop(), value]); break; }
      case "u": setItems(popToMark()); break;
      case "q": memo.set(bytes[take(1)], stack.at(-1)); break;
      case "r": memo.set(view.getUint32(take(4), true), stack.at(-1)); break;
      case "h": recall(bytes[take(1)]); break;
      case "j": recall(view.getUint32(take(4), true)); break;
      case "c": {
        const name = `${line()} ${line()}`;
        if (!Object.hasOwn(globals, name)) fail(`it names "${name.replace(" ", ".")}", which is not among the names this file may use: it may be harmful; nothing was run`);
        stack.push(globals[name]);
        break;
      }
      case "R": {
        const args = pop();
        const callee = pop();
        if (!Object.values(globals).includes(callee) || typeof callee.reduce !== "function" || !Array.isArray(args)) fail("it calls something that may not be called");
        const object = callee.reduce(args);
        if (callee.build) builders.set(object, callee.build);
        stack.push(object);
        break;
      }
      case "b": {
        const state = pop();
        const object = stack.at(-1);
        const build = builders.get(object);
        if (!build) fail("it sets the state of something that has none");
        build(object, state);
        break;
      }
      case "Q":
        if (!persistent) fail("it refers to something outside the file");
        stack.push(persistent(pop()));
        break;
      default:
        at -= 1;
        fail(`opcode 0x${code.toString(16).padStart(2, "0")} is not one that model weights need`);
    }
  }
}
