//! What a TFLite file says: tensors with their types, shapes, quantisation and data. Field numbers are those of
//! TensorFlow's schema, version 3.

use std::collections::HashMap;
use std::rc::Rc;

use super::flatbuffer::{Table, Vector};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, MAX_RANK, Tensor, element_count};
use crate::import::tensorflow::{Quantization, Shape};

/// Longest name that is kept.
const LONGEST_NAME: usize = 1 << 12;

/// Longest name that nodes are named after.
const LONGEST_SHORT_NAME: usize = 200;

/// How much larger than the file what is made of it may be: float16 becomes float32, and sparse weights dense.
const LARGEST_GROWTH: usize = 64;

/// A model's tables.
pub struct Schema<'a> {
    bytes: &'a [u8],
    pub codes: Vector<'a>,
    pub subgraphs: Vector<'a>,
    buffers: Vector<'a>,
    /// Bytes that may still be made of the file.
    budget: usize,
    /// Tensors that share a buffer share their elements.
    read: HashMap<(usize, DataType, Vec<usize>), Tensor>,
}

/// A subgraph's tables.
#[derive(Clone, Copy)]
pub struct Subgraph<'a> {
    pub tensors: Vector<'a>,
    pub operators: Vector<'a>,
    table: Table<'a>,
}

/// What is said of a tensor, its elements aside.
#[derive(Debug, Clone)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: DataType,
    /// Sizes that the caller may choose are none.
    pub shape: Shape,
    pub quantization: Option<Rc<Quantization>>,
}

impl TensorInfo {
    /// The name that nodes for it have: of names that were put together when operators were fused, the first.
    pub fn short_name(&self) -> &str {
        let first = self.name.split(';').next().unwrap_or_default();
        let end = first.char_indices().nth(LONGEST_SHORT_NAME).map_or(first.len(), |(end, _)| end);
        &first[..end]
    }
}

impl<'a> Schema<'a> {
    /// Errors: `NotAModel`, `Truncated`, `InvalidModel`, `Unsupported` for another version.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let root = Table::root(bytes, b"TFL3")?;
        let version = root.int(0)?;
        ensure!(version == 3, Unsupported, "TFLite files of version 3 are read, this is of version {version}");
        let subgraphs = root.tables(2)?;
        ensure!(subgraphs.len() > 0, InvalidModel, "the model has no subgraph");
        Ok(Self {
            bytes,
            codes: root.tables(1)?,
            subgraphs,
            buffers: root.tables(4)?,
            budget: bytes.len().saturating_mul(LARGEST_GROWTH),
            read: HashMap::new(),
        })
    }

    pub fn subgraph(&self, index: usize) -> Result<Subgraph<'a>> {
        let Some(table) = self.subgraphs.table(index)? else {
            bail!(InvalidModel, "subgraph {index} of {} is wanted", self.subgraphs.len())
        };
        Ok(Subgraph { tensors: table.tables(0)?, operators: table.tables(3)?, table })
    }

    /// Takes `bytes` from what may be made of the file.
    pub fn spend(&mut self, bytes: usize) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => self.budget = left,
            None => bail!(LimitExceeded, "the model is more than {LARGEST_GROWTH} times as large as its file"),
        }
        Ok(())
    }

    /// The elements of a constant tensor; none for one that an operator makes.
    pub fn elements(&mut self, table: Table<'a>, info: &TensorInfo) -> Result<Option<Tensor>> {
        let buffer = table.index(2)?;
        ensure!(table.index(10)? == 0, Unsupported, "tensor \"{}\" has its data in another file", info.name);
        let Some(data) = self.buffers.table(buffer)? else {
            bail!(InvalidModel, "tensor \"{}\" has buffer {buffer} of {}", info.name, self.buffers.len())
        };
        let mut bytes = data.bytes(0)?;
        let (offset, size) = (data.long(1)?, data.long(2)?);
        if offset > 1 {
            let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
            let range = end.and_then(|end| self.bytes.get(usize::try_from(offset).ok()?..end));
            let Some(found) = range else {
                bail!(Truncated, "tensor \"{}\" has {size} bytes at {offset}, behind the file's end", info.name)
            };
            bytes = found;
        }
        let Some(shape) = info.shape.iter().flatten().copied().collect::<Option<Vec<usize>>>() else { return Ok(None) };
        let count = element_count(&shape)?;
        if bytes.is_empty() {
            // Buffer 0 is the empty one, and so is a constant without elements.
            let empty = count == 0 && buffer != 0;
            return if empty { Tensor::from_bytes(info.dtype, shape, vec![]).map(Some) } else { Ok(None) };
        }
        if let Some(sparsity) = table.table(6)? {
            return self.dense(sparsity, info, &shape, bytes).map(Some);
        }
        let key = (buffer, info.dtype, shape);
        if let Some(tensor) = self.read.get(&key) {
            return Ok(Some(tensor.clone()));
        }
        let expected = byte_count(info.dtype, count);
        ensure!(
            bytes.len() == expected,
            DataLengthMismatch,
            "tensor \"{}\": {} {:?} has {expected} bytes, the file has {}",
            info.name,
            info.dtype,
            key.2,
            bytes.len()
        );
        self.spend(count.saturating_mul(info.dtype.size()))?;
        let tensor = match info.dtype {
            DataType::Bool => {
                Tensor::from_bytes(DataType::Bool, key.2.clone(), bytes.iter().map(|&b| (b != 0).into()).collect())
            }
            dtype => Tensor::from_packed(dtype, key.2.clone(), bytes.to_vec()),
        }?;
        self.read.insert(key, tensor.clone());
        Ok(Some(tensor))
    }

    /// The dense form of a sparse tensor.
    fn dense(&mut self, sparsity: Table<'a>, info: &TensorInfo, shape: &[usize], bytes: &[u8]) -> Result<Tensor> {
        let name = &info.name;
        let size = info.dtype.size();
        ensure!(size > 0 && !info.dtype.is_4_bit(), Unsupported, "sparse tensor \"{name}\" of {}", info.dtype);
        let count = element_count(shape)?;
        let whole = count.saturating_mul(size);
        self.spend(whole)?;
        let order: Vec<usize> =
            sparsity.ints(0)?.take(2 * MAX_RANK).map(|d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
        let blocks: Vec<usize> =
            sparsity.ints(1)?.take(MAX_RANK).map(|d| usize::try_from(d).unwrap_or(usize::MAX)).collect();
        let metadata = sparsity.tables(2)?;
        let rank = shape.len();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let fits = order.len() == rank + blocks.len()
            && metadata.len() == order.len()
            && sorted.into_iter().eq(0..order.len());
        ensure!(
            fits && blocks.iter().all(|&b| b < rank),
            InvalidModel,
            "sparse tensor \"{name}\" is not described whole"
        );
        let mut levels = Vec::with_capacity(order.len());
        for at in 0..order.len() {
            let Some(level) = metadata.table(at)? else {
                bail!(InvalidModel, "sparse tensor \"{name}\" lacks a level")
            };
            levels.push(match level.byte(0)? {
                0 => Level::Dense(usize::try_from(level.int(1)?).unwrap_or(0)),
                1 => Level::Sparse { segments: indices(level, 2)?, places: indices(level, 4)? },
                other => bail!(InvalidModel, "sparse tensor \"{name}\" has a level of format {other}"),
            });
        }
        // A block's own dimensions are as large as their levels say.
        let mut block_sizes = vec![1; rank];
        for (n, &axis) in blocks.iter().enumerate() {
            let level = order.iter().position(|&d| d == rank + n).map(|at| &levels[at]);
            match level {
                Some(Level::Dense(size)) if *size > 0 => block_sizes[axis] = *size,
                _ => bail!(InvalidModel, "sparse tensor \"{name}\" has blocks without a size"),
            }
        }
        let walk = Walk { order: &order, blocks: &blocks, block_sizes: &block_sizes, levels: &levels, shape, size };
        let mut dense = vec![0; whole];
        let mut found = 0;
        // Levels of size 0 or 1 multiply without elements; this bounds the steps.
        let mut steps = count.saturating_add(bytes.len()).saturating_mul(order.len() + 1).saturating_add(1024);
        let wrong = walk.level(0, 0, &mut vec![0; order.len()], bytes, &mut dense, &mut found, &mut steps);
        ensure!(
            wrong.is_some() && found * size == bytes.len(),
            InvalidModel,
            "sparse tensor \"{name}\": its {} elements do not fit what describes them",
            bytes.len() / size
        );
        Tensor::from_bytes(info.dtype, shape.to_vec(), dense)
    }
}

enum Level {
    Dense(usize),
    Sparse { segments: Vec<usize>, places: Vec<usize> },
}

/// A vector in a union of vectors: its type in field `number`, its table in the next.
fn indices(level: Table<'_>, number: usize) -> Result<Vec<usize>> {
    let Some(table) = level.table(number + 1)? else { return Ok(vec![]) };
    Ok(match level.byte(number)? {
        1 => table.ints(0)?.map(|v| usize::try_from(v).unwrap_or(usize::MAX)).collect(),
        2 => table.shorts(0)?.map(usize::from).collect(),
        3 => table.bytes(0)?.iter().map(|&v| v.into()).collect(),
        other => bail!(InvalidModel, "sparse places of type {other}"),
    })
}

struct Walk<'w> {
    order: &'w [usize],
    blocks: &'w [usize],
    block_sizes: &'w [usize],
    levels: &'w [Level],
    shape: &'w [usize],
    size: usize,
}

impl Walk<'_> {
    /// Goes through level `depth` under entry `parent` of the level above; none where it leads outside.
    #[allow(clippy::too_many_arguments, reason = "the state of one recursion")]
    fn level(
        &self,
        depth: usize,
        parent: usize,
        index: &mut Vec<usize>,
        from: &[u8],
        to: &mut [u8],
        found: &mut usize,
        steps: &mut usize,
    ) -> Option<()> {
        *steps = steps.checked_sub(1)?;
        let Some(level) = self.levels.get(depth) else {
            let rank = self.shape.len();
            let mut at = 0usize;
            for axis in 0..rank {
                let own = self.blocks.iter().position(|&b| b == axis).map_or(0, |n| index[rank + n]);
                let place = index[axis].checked_mul(self.block_sizes[axis])?.checked_add(own)?;
                if place >= self.shape[axis] {
                    return None;
                }
                at = at * self.shape[axis] + place;
            }
            let element = from.get(*found * self.size..(*found + 1) * self.size)?;
            to.get_mut(at * self.size..(at + 1) * self.size)?.copy_from_slice(element);
            *found += 1;
            return Some(());
        };
        let dimension = *self.order.get(depth)?;
        match level {
            Level::Dense(size) => {
                for n in 0..*size {
                    index[dimension] = n;
                    self.level(depth + 1, parent.checked_mul(*size)?.checked_add(n)?, index, from, to, found, steps)?;
                }
            }
            Level::Sparse { segments, places } => {
                let (start, end) = (*segments.get(parent)?, *segments.get(parent.checked_add(1)?)?);
                for (n, &place) in places.get(start..end)?.iter().enumerate() {
                    index[dimension] = place;
                    self.level(depth + 1, start + n, index, from, to, found, steps)?;
                }
            }
        }
        Some(())
    }
}

fn byte_count(dtype: DataType, count: usize) -> usize {
    if dtype.is_4_bit() { count.div_ceil(2) } else { count.saturating_mul(dtype.size()) }
}

impl<'a> Subgraph<'a> {
    /// Indices of its input tensors.
    pub fn inputs(&self) -> Result<Vec<i32>> {
        Ok(self.table.ints(1)?.collect())
    }

    pub fn outputs(&self) -> Result<Vec<i32>> {
        Ok(self.table.ints(2)?.collect())
    }

    pub fn name(&self) -> Result<String> {
        Ok(cut(self.table.bytes(4)?))
    }

    pub fn tensor(&self, index: i32) -> Result<(usize, Table<'a>)> {
        let place = usize::try_from(index).ok();
        let table = place.map(|at| self.tensors.table(at)).transpose()?.flatten();
        match place.zip(table) {
            Some(found) => Ok(found),
            None => bail!(InvalidModel, "tensor {index} of {} is wanted", self.tensors.len()),
        }
    }
}

fn cut(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_NAME)]).into_owned()
}

/// The type with TFLite's number `number`.
pub fn dtype(number: u8) -> Option<DataType> {
    Some(match number {
        0 => DataType::Float32,
        1 => DataType::Float16,
        2 => DataType::Int32,
        3 => DataType::Uint8,
        4 => DataType::Int64,
        6 => DataType::Bool,
        7 => DataType::Int16,
        9 => DataType::Int8,
        10 => DataType::Float64,
        12 => DataType::Uint64,
        15 => DataType::Uint32,
        16 => DataType::Uint16,
        17 => DataType::Int4,
        18 => DataType::BFloat16,
        20 => DataType::Uint4,
        _ => return None,
    })
}

/// The names of types that have no counterpart.
fn foreign(number: u8) -> &'static str {
    match number {
        5 => "string",
        8 => "complex64",
        11 => "complex128",
        13 => "resource",
        14 => "variant",
        19 => "int2",
        _ => "unknown",
    }
}

/// What is said of the tensor in `table`.
///
/// Errors: `UnsupportedOperator` for types without a counterpart, `InvalidModel`.
pub fn describe(table: Table<'_>) -> Result<TensorInfo> {
    let name = cut(table.bytes(3)?);
    let number = table.byte(1)?;
    let Some(dtype) = dtype(number) else { bail!(UnsupportedOperator, "with values of type {}", foreign(number)) };
    let (sizes, chosen) = (table.ints(0)?, table.ints(7)?);
    let most = sizes.len().max(chosen.len());
    ensure!(
        most <= MAX_RANK,
        LimitExceeded,
        "tensor \"{name}\" has {most} dimensions; at most {MAX_RANK} are possible"
    );
    let has_rank = table.flag(8)? || sizes.len() > 0;
    let chosen: Vec<i32> = chosen.collect();
    let sizes: Vec<i32> = sizes.collect();
    let sizes = if chosen.is_empty() { &sizes } else { &chosen };
    let shape: Vec<Option<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let quantization = match table.table(4)? {
        Some(q) => quantization(q, &name, &shape)?.map(Rc::new),
        None => None,
    };
    // Files seldom say that there is a rank: no sizes are a scalar's, or a rank that is not known.
    let shape = (has_rank || !chosen.is_empty()).then_some(shape);
    let quantization = quantization.filter(|_| dtype.is_int() || dtype.is_4_bit());
    Ok(TensorInfo { name, dtype, shape, quantization })
}

fn quantization(table: Table<'_>, name: &str, shape: &[Option<usize>]) -> Result<Option<Quantization>> {
    let (scales, zeros) = (table.floats(2)?, table.longs(3)?);
    if scales.len() == 0 {
        ensure!(table.byte(4)? == 0, UnsupportedOperator, "with tensors quantised in blocks or in a way of their own");
        return Ok(None);
    }
    let axis = usize::try_from(table.int(6)?).unwrap_or(usize::MAX);
    let channels = shape.get(axis).copied().flatten();
    ensure!(
        scales.len() == 1 || channels == Some(scales.len()),
        InvalidModel,
        "tensor \"{name}\" of shape {shape:?} has {} scales along axis {axis}",
        scales.len()
    );
    ensure!(
        [0, 1, scales.len()].contains(&zeros.len()),
        InvalidModel,
        "tensor \"{name}\" has {} scales and {} zero points",
        scales.len(),
        zeros.len()
    );
    let scales: Vec<f32> = scales.collect();
    let mut zeros: Vec<i64> = zeros.collect();
    let fill = zeros.first().copied().unwrap_or(0);
    zeros.resize(scales.len(), fill);
    Ok(Some(Quantization { axis: if scales.len() == 1 { 0 } else { axis }, scales, zeros }))
}
