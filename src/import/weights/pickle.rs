//! Reads a Python pickle as data. A pickle is a program; here its instructions only put together lists, dictionaries
//! and records of what it would have called. Nothing is called, whatever it names: readers look at the records and
//! refuse the names that they have no meaning for, all of them at once.
//!
//! What a pickle makes is no tree: an object may be in many places, itself among them. Objects therefore live in an
//! arena, and who walks them limits depth and steps.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::error::{Error, ErrorKind, Result, bail, ensure};
use crate::graph::MAX_RANK;

/// A value on the pickle's stack.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Which one, no reader asks.
    Float,
    Text(Rc<str>),
    /// Where bytes lie in the file.
    Bytes(Range<usize>),
    /// Bytes that are not in the file as they are.
    Made(Rc<[u8]>),
    /// `module.name`, an index into [`Pickle::names`].
    Name(usize),
    /// An index into [`Pickle::objects`].
    Object(usize),
}

/// What lives in the arena.
#[derive(Debug)]
pub enum Object {
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// What a call of `callee` would give; `state` is what it would be told then.
    Call {
        callee: usize,
        arguments: Value,
        state: Option<Value>,
    },
    /// A reference to something outside the pickle.
    Outside(Value),
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// What it made.
    pub value: Value,
    /// Where it ends.
    pub end: usize,
    pub objects: Vec<Object>,
    /// The global names it has, each once, in the order of appearance.
    pub names: Vec<String>,
}

/// Names whose calls are read as a dictionary and as bytes.
const ORDERED: &str = "collections.OrderedDict";
pub const BYTES: [&str; 4] = ["__builtin__.bytes", "builtins.bytes", "__builtin__.bytearray", "builtins.bytearray"];

impl<'a> Pickle<'a> {
    /// Reads the pickle that starts at `start`, up to its STOP.
    ///
    /// Errors: `Truncated`, `InvalidModel`, `Unsupported` for instructions that no file of weights has.
    pub fn read(bytes: &'a [u8], start: usize) -> Result<Self> {
        let mut machine = Machine {
            pickle: Pickle { bytes, value: Value::None, end: start, objects: Vec::new(), names: Vec::new() },
            known: HashMap::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            at: start,
            copied: 0,
        };
        machine.pickle.value = machine.run()?;
        machine.pickle.end = machine.at;
        Ok(machine.pickle)
    }

    /// The items of a tuple or list.
    pub fn items(&self, value: &Value) -> Option<&[Value]> {
        match self.object(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub fn entries(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match self.object(value)? {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// What a dictionary has under `key`; the last, where it was set twice.
    pub fn entry(&self, value: &Value, key: &str) -> Option<&Value> {
        self.entries(value)?.iter().rev().find(|(k, _)| self.text(k) == Some(key)).map(|(_, v)| v)
    }

    /// The object that a value refers to.
    pub fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(index) => self.objects.get(*index),
            _ => None,
        }
    }

    /// A call's callee, arguments and state.
    pub fn call(&self, value: &Value) -> Option<(&str, &[Value], Option<&Value>)> {
        match self.object(value)? {
            Object::Call { callee, arguments, state } => {
                Some((self.names.get(*callee)?, self.items(arguments)?, state.as_ref()))
            }
            _ => None,
        }
    }

    /// A text; Python 2 wrote names as bytes.
    pub fn text<'v>(&'v self, value: &'v Value) -> Option<&'v str> {
        match value {
            Value::Text(text) => Some(text),
            Value::Bytes(range) => std::str::from_utf8(self.bytes.get(range.clone())?).ok(),
            _ => None,
        }
    }

    /// The global name that a value is.
    pub fn name(&self, value: &Value) -> Option<&str> {
        match value {
            Value::Name(index) => self.names.get(*index).map(String::as_str),
            _ => None,
        }
    }

    /// Bytes, those too that Python 3 wrote for Python 2 as a text to be encoded.
    pub fn raw<'v>(&'v self, value: &'v Value) -> Option<&'v [u8]> {
        match value {
            Value::Bytes(range) => self.bytes.get(range.clone()),
            Value::Made(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A whole number.
    pub fn int(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// A size or an offset.
    pub fn size(&self, value: &Value) -> Option<usize> {
        self.int(value).and_then(|int| usize::try_from(int).ok())
    }

    /// A tuple or list of sizes.
    pub fn sizes(&self, value: &Value) -> Option<Vec<usize>> {
        let sized = match self.call(value) {
            // torch.Size((1, 2)) is the tuple in another guise.
            Some(("torch.Size", [inner], _)) => self.items(inner)?,
            _ => self.items(value)?,
        };
        // A tuple may be in many records, and is a list of its own in each that is read.
        if sized.len() > MAX_RANK {
            return None;
        }
        sized.iter().map(|size| self.size(size)).collect()
    }

    /// Refuses the file where it names anything outside of `known`, all of that at once; `remedy` says what to do
    /// about it.
    ///
    /// Errors: `Unsupported`.
    pub fn allow(&self, known: impl Fn(&str) -> bool, remedy: &str) -> Result<()> {
        let mut unknown: Vec<&str> = self.names.iter().map(String::as_str).filter(|name| !known(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        let shown = unknown.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let more = if unknown.len() > SHOWN { format!(" and {} more", unknown.len() - SHOWN) } else { String::new() };
        bail!(
            Unsupported,
            "the pickle names {shown}{more}, which weights have no need of; nothing was run, and nothing of it is read: {remedy}"
        )
    }
}

/// How many names an error has at most.
const SHOWN: usize = 20;

/// How many values there may be at a time: each takes many times the byte that may ask for it. Weights have thousands.
const MOST_VALUES: usize = 1 << 22;
/// How many names there may be, and how long each: a name is put together of two texts, each of which may be in many.
const MOST_NAMES: usize = 1 << 12;
const LONGEST_NAME: usize = 1 << 10;

/// The program's state while it is read.
struct Machine<'a> {
    pickle: Pickle<'a>,
    known: HashMap<String, usize>,
    stack: Vec<Value>,
    /// The heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Value>,
    at: usize,
    /// What calls have copied of values that may be their argument many times over: bytes, entries.
    copied: usize,
}

impl<'a> Machine<'a> {
    fn fail<T>(&self, message: impl std::fmt::Display) -> Result<T> {
        bail!(InvalidModel, "pickle, byte {}: {message}", self.at)
    }

    fn take(&mut self, count: u64) -> Result<Range<usize>> {
        let left = self.pickle.bytes.len().saturating_sub(self.at);
        match usize::try_from(count).ok().filter(|&count| count <= left) {
            Some(count) => {
                self.at += count;
                Ok(self.at - count..self.at)
            }
            None => bail!(
                Truncated,
                "pickle, byte {}: expected {count} more bytes, the file ends after {left}: it is cut short",
                self.at
            ),
        }
    }

    fn slice(&mut self, count: u64) -> Result<&'a [u8]> {
        let range = self.take(count)?;
        let bytes: &'a [u8] = self.pickle.bytes;
        Ok(&bytes[range])
    }

    /// A little-endian number of `count` bytes, at most 8.
    fn number(&mut self, count: u64) -> Result<u64> {
        Ok(self.slice(count)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Result<&'a str> {
        let bytes: &'a [u8] = self.pickle.bytes;
        let rest = bytes.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&b| b == b'\n') else {
            bail!(Truncated, "pickle, byte {}: a line without end: the file is cut short", self.at)
        };
        self.at += length + 1;
        self.utf8(&rest[..length])
    }

    fn utf8<'b>(&self, bytes: &'b [u8]) -> Result<&'b str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => self.fail("a text that is not UTF-8"),
        }
    }

    fn text(&mut self, length: u64) -> Result<Value> {
        let bytes = self.slice(length)?;
        // Python writes lone surrogates of names too; no name of a weight has them.
        Ok(Value::Text(self.utf8(bytes)?.into()))
    }

    fn pop(&mut self) -> Result<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().unwrap_or(Value::None)),
            false => self.fail("a value was expected on the stack"),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark.min(self.stack.len()))),
            None => self.fail("a mark was expected on the stack"),
        }
    }

    fn top(&self) -> Result<Value> {
        match self.stack.last() {
            Some(value) => Ok(value.clone()),
            None => self.fail("a value was expected on the stack"),
        }
    }

    fn make(&mut self, object: Object) -> Value {
        self.pickle.objects.push(object);
        Value::Object(self.pickle.objects.len() - 1)
    }

    fn push(&mut self, object: Object) {
        let value = self.make(object);
        self.stack.push(value);
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        match self.memo.get(&key) {
            Some(value) => self.stack.push(value.clone()),
            None => return self.fail(format_args!("memo entry {key} was never stored")),
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<()> {
        let value = self.top()?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn append(&mut self, items: Vec<Value>) -> Result<()> {
        if let Value::Object(index) = self.top()?
            && let Some(Object::List(list)) = self.pickle.objects.get_mut(index)
        {
            list.extend(items);
            return Ok(());
        }
        // A list of another class: what it would be told has no meaning here, and its name is refused later.
        match self.pickle.object(&self.top()?) {
            Some(Object::Call { .. }) => Ok(()),
            _ => self.fail("a list was expected on the stack"),
        }
    }

    fn set_items(&mut self, items: Vec<Value>) -> Result<()> {
        if !items.len().is_multiple_of(2) {
            return self.fail("a key without value");
        }
        let mut items = items.into_iter();
        let pairs = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
        if let Value::Object(index) = self.top()?
            && let Some(Object::Dict(entries)) = self.pickle.objects.get_mut(index)
        {
            entries.extend(pairs);
            return Ok(());
        }
        match self.pickle.object(&self.top()?) {
            Some(Object::Call { .. }) => Ok(()),
            _ => self.fail("a dictionary was expected on the stack"),
        }
    }

    /// Counts what a call copies: honest files have each value as an argument once.
    fn copy(&mut self, count: usize) -> Result<()> {
        self.copied = self.copied.saturating_add(count);
        let size = self.pickle.bytes.len();
        ensure!(self.copied <= size, LimitExceeded, "the pickle copies more than its {size} bytes: it is hostile");
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        ensure!(
            module.len() + name.len() < LONGEST_NAME && self.pickle.names.len() < MOST_NAMES,
            LimitExceeded,
            "the pickle has more names, or longer ones, than weights have: it is hostile"
        );
        let full = format!("{module}.{name}");
        let names = &mut self.pickle.names;
        let index = *self.known.entry(full).or_insert_with_key(|full| {
            names.push(full.clone());
            names.len() - 1
        });
        self.stack.push(Value::Name(index));
        Ok(())
    }

    /// Records a call. What a callee that is itself the result of a call would be is nobody's business.
    fn call(&mut self, callee: Value, arguments: Value) -> Result<()> {
        let Value::Name(callee) = callee else { return self.fail("it calls something that has no name") };
        if self.pickle.items(&arguments).is_none() {
            return self.fail("it calls with arguments that are no tuple");
        }
        let name = self.pickle.names.get(callee).map_or("", String::as_str);
        if name == ORDERED {
            let pairs = self.pickle.items(&arguments).and_then(|a| a.first()).and_then(|list| self.pickle.items(list));
            let pair = |pair: &Value| match self.pickle.items(pair) {
                Some([key, value]) => Some((key.clone(), value.clone())),
                _ => None,
            };
            let entries: Vec<_> = pairs.unwrap_or_default().iter().filter_map(pair).collect();
            self.copy(entries.len())?;
            self.push(Object::Dict(entries));
            return Ok(());
        }
        if name == "_codecs.encode"
            && let Some([text, _]) = self.pickle.items(&arguments)
            && let Some(text) = self.pickle.text(text)
        {
            // Latin-1, in which Python 3 hides bytes from Python 2.
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let Some(bytes) = bytes else { return self.fail("bytes, written as text, with other characters") };
            self.copy(bytes.len())?;
            self.stack.push(Value::Made(bytes.into()));
            return Ok(());
        }
        if BYTES.contains(&name) {
            // Empty bytes for Python 2, and what is made of bytes.
            let made = match self.pickle.items(&arguments) {
                Some([]) => Value::Made(Rc::from([])),
                Some([bytes @ (Value::Bytes(_) | Value::Made(_))]) => bytes.clone(),
                _ => return self.fail("bytes of something else"),
            };
            self.stack.push(made);
            return Ok(());
        }
        self.push(Object::Call { callee, arguments, state: None });
        Ok(())
    }

    /// The number that little-endian two's complement bytes are; those past 64 bits come as bytes.
    fn long(&mut self, count: u64) -> Result<Value> {
        let range = self.take(count)?;
        let bytes = &self.pickle.bytes[range.clone()];
        if bytes.len() > 8 {
            return Ok(Value::Bytes(range));
        }
        let sign = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let start = if sign { -1i64 } else { 0 };
        Ok(Value::Int(bytes.iter().rev().fold(start, |number, &byte| number << 8 | i64::from(byte))))
    }

    fn run(&mut self) -> Result<Value> {
        loop {
            let values = self.stack.len() + self.memo.len() + self.pickle.objects.len();
            ensure!(
                values <= MOST_VALUES,
                LimitExceeded,
                "the pickle has more than {MOST_VALUES} values, many more than weights have"
            );
            let opcode = self.number(1)? as u8;
            match opcode {
                // PROTO
                0x80 => {
                    let protocol = self.number(1)?;
                    if protocol > 5 {
                        bail!(Unsupported, "a pickle of protocol {protocol}; those up to 5 can be read");
                    }
                }
                // FRAME
                0x95 => _ = self.take(8)?,
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_to_mark()?,
                b'2' => self.stack.push(self.top()?),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' => {
                    let number = self.number(1)?;
                    self.stack.push(Value::Int(number as i64));
                }
                b'M' => {
                    let number = self.number(2)?;
                    self.stack.push(Value::Int(number as i64));
                }
                b'J' => {
                    let number = self.number(4)?;
                    self.stack.push(Value::Int(i64::from(number as u32 as i32)));
                }
                b'G' => {
                    self.take(8)?;
                    self.stack.push(Value::Float);
                }
                // LONG1, LONG4
                0x8a | 0x8b => {
                    let count = self.number(if opcode == 0x8a { 1 } else { 4 })?;
                    let value = self.long(count)?;
                    self.stack.push(value);
                }
                // Numbers and texts in lines: protocol 0.
                b'I' | b'L' => {
                    let line = self.line()?;
                    let value = match (opcode, line) {
                        (b'I', "00") => Value::Bool(false),
                        (b'I', "01") => Value::Bool(true),
                        _ => match line.trim().trim_end_matches('L').parse() {
                            Ok(number) => Value::Int(number),
                            Err(_) => return self.fail("a number that is none, or is past 64 bits"),
                        },
                    };
                    self.stack.push(value);
                }
                b'F' => {
                    self.line()?;
                    self.stack.push(Value::Float);
                }
                b'S' => {
                    let line = self.line()?.trim();
                    let quoted = line.strip_prefix('\'').and_then(|l| l.strip_suffix('\''));
                    match quoted.or_else(|| line.strip_prefix('"').and_then(|l| l.strip_suffix('"'))) {
                        Some(text) if !text.contains('\\') => self.stack.push(Value::Text(text.into())),
                        _ => return self.fail("a text with escapes, of protocol 0: save with protocol 2 or later"),
                    }
                }
                b'V' => {
                    let line = self.line()?;
                    if line.contains('\\') {
                        return self.fail("a text with escapes, of protocol 0: save with protocol 2 or later");
                    }
                    self.stack.push(Value::Text(line.into()));
                }
                // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
                0x8c | b'X' | 0x8d => {
                    let length = self.number(match opcode {
                        0x8c => 1,
                        b'X' => 4,
                        _ => 8,
                    })?;
                    let text = self.text(length)?;
                    self.stack.push(text);
                }
                // SHORT_BINBYTES, SHORT_BINSTRING, BINBYTES, BINSTRING, BINBYTES8, BYTEARRAY8
                b'C' | b'U' | b'B' | b'T' | 0x8e | 0x96 => {
                    let length = self.number(match opcode {
                        b'C' | b'U' => 1,
                        b'B' | b'T' => 4,
                        _ => 8,
                    })?;
                    let range = self.take(length)?;
                    self.stack.push(Value::Bytes(range));
                }
                b'}' => self.push(Object::Dict(Vec::new())),
                b']' => self.push(Object::List(Vec::new())),
                b')' => self.push(Object::Tuple(Vec::new())),
                // EMPTY_SET, and what it is filled with
                0x8f => self.push(Object::List(Vec::new())),
                b'l' | 0x91 => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::List(items));
                }
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Tuple(items));
                }
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Dict(Vec::new()));
                    self.set_items(items)?;
                }
                // TUPLE1, TUPLE2, TUPLE3
                0x85..=0x87 => {
                    let mut items = (0..opcode - 0x84).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                    items.reverse();
                    self.push(Object::Tuple(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_to_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                b'q' | b'r' => {
                    let key = self.number(if opcode == b'q' { 1 } else { 4 })?;
                    self.remember(key)?;
                }
                // MEMOIZE
                0x94 => self.remember(self.memo.len() as u64)?,
                b'h' | b'j' => {
                    let key = self.number(if opcode == b'h' { 1 } else { 4 })?;
                    self.recall(key)?;
                }
                b'p' | b'g' => match self.line()?.trim().parse() {
                    Ok(key) if opcode == b'p' => self.remember(key)?,
                    Ok(key) => self.recall(key)?,
                    Err(_) => return self.fail("a memo entry that is no number"),
                },
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                // STACK_GLOBAL
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(name), Value::Text(module)) = (name, module) else {
                        return self.fail("a name that is no text");
                    };
                    self.global(&module, &name)?;
                }
                // REDUCE, NEWOBJ
                b'R' | 0x81 => {
                    let arguments = self.pop()?;
                    let callee = self.pop()?;
                    self.call(callee, arguments)?;
                }
                // NEWOBJ_EX
                0x92 => {
                    let (_, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                    self.call(callee, arguments)?;
                }
                // INST, OBJ: protocol 0 and 1's ways to call.
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let arguments = self.pop_to_mark()?;
                    self.global(module, name)?;
                    let callee = self.pop()?;
                    let arguments = self.make(Object::Tuple(arguments));
                    self.call(callee, arguments)?;
                }
                b'o' => {
                    let mut arguments = self.pop_to_mark()?;
                    if arguments.is_empty() {
                        return self.fail("it calls nothing");
                    }
                    let callee = arguments.remove(0);
                    let arguments = self.make(Object::Tuple(arguments));
                    self.call(callee, arguments)?;
                }
                // BUILD
                b'b' => {
                    let told = self.pop()?;
                    if let Value::Object(index) = self.top()?
                        && let Some(Object::Call { state, .. }) = self.pickle.objects.get_mut(index)
                    {
                        *state = Some(told);
                    }
                }
                // BINPERSID
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Object::Outside(id));
                }
                _ => bail!(
                    Unsupported,
                    "pickle, byte {}: instruction 0x{opcode:02x} is not one that weights need",
                    self.at - 1
                ),
            }
        }
    }
}

/// Counts the steps of a walk over objects, which may hold each other many times over.
pub struct Budget {
    left: usize,
    started: usize,
}

impl Budget {
    /// As many steps as the file has bytes: each object that is really there took at least one.
    pub fn of(bytes: &[u8]) -> Self {
        Self { left: bytes.len(), started: bytes.len() }
    }

    /// Takes a step.
    ///
    /// Errors: `LimitExceeded` when there are none left.
    pub fn step(&mut self) -> Result<()> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    format!("the pickle holds more than {} values for its bytes: it is hostile", self.started),
                ));
            }
        }
        Ok(())
    }
}
