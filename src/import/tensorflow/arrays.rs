//! Operators that move, choose, count and compare elements.

use super::{Id, Order, Shape, Writer, int, ints, text};
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// A slice as TensorFlow has it: bit i of a mask is about entry i.
#[derive(Debug, Clone, Copy, Default)]
pub struct StridedSlice {
    pub begin: i64,
    pub end: i64,
    pub ellipsis: i64,
    pub new_axis: i64,
    pub shrink: i64,
    /// Whether ends are counted from the beginnings.
    pub offset: bool,
}

/// Most elements along a dimension that is mirrored by a list of places.
const LONGEST_MIRROR: usize = 1 << 13;

impl StridedSlice {
    fn has(mask: i64, at: usize) -> bool {
        at < 63 && mask >> at & 1 == 1
    }
}

fn size(value: i64) -> Option<usize> {
    usize::try_from(value).ok()
}

impl Writer {
    /// Two operands, element by element: an operator of ONNX that gives numbers of the same type.
    pub fn binary(&mut self, op_type: &str, name: &str, a: Id, b: Id) -> Result<Id> {
        let dtype = self.real_dtype(a);
        self.elementwise(op_type, name, &[a, b], vec![], dtype)
    }

    /// A comparison, or an operator on bools.
    pub fn compare(&mut self, op_type: &str, name: &str, inputs: &[Id]) -> Result<Id> {
        self.elementwise(op_type, name, inputs, vec![], DataType::Bool)
    }

    /// The quotient rounded down.
    pub fn floor_div(&mut self, name: &str, a: Id, b: Id) -> Result<Id> {
        let dtype = self.real_dtype(a);
        if dtype.is_float() {
            let quotient = self.binary("Div", &format!("{name}/quotient"), a, b)?;
            return self.unary("Floor", name, quotient, vec![]);
        }
        // ONNX rounds integer quotients to zero; less the remainder, there is nothing to round.
        let rest = self.floor_mod(&format!("{name}/rest"), a, b)?;
        let even = self.binary("Sub", &format!("{name}/even"), a, rest)?;
        self.binary("Div", name, even, b)
    }

    /// The remainder with the sign of the divisor.
    pub fn floor_mod(&mut self, name: &str, a: Id, b: Id) -> Result<Id> {
        let dtype = self.real_dtype(a);
        if !dtype.is_float() {
            return self.binary("Mod", name, a, b);
        }
        let fmod = |w: &mut Self, name: &str, a| w.elementwise("Mod", name, &[a, b], vec![int("fmod", 1)], dtype);
        let rest = fmod(self, &format!("{name}/rest"), a)?;
        let moved = self.binary("Add", &format!("{name}/moved"), rest, b)?;
        fmod(self, name, moved)
    }

    pub fn cast(&mut self, name: &str, x: Id, to: DataType) -> Result<Id> {
        let order = self.order(x);
        let from = self.real(x, order)?;
        let shape = self.shape(x).clone();
        Ok(self.emit("Cast", name, &[&from], vec![int("to", to.onnx().into())], to, shape, order))
    }

    /// A reduction over constant axes.
    pub fn reduce(&mut self, op_type: &str, name: &str, x: Id, axes: &[i64], keep: bool) -> Result<Id> {
        let rank = self.rank(x)?;
        let axes = axes.iter().map(|&axis| self.axis(x, axis)).collect::<Result<Vec<_>>>()?;
        let shape: Shape = self.shape(x).as_ref().map(|shape| {
            let kept = shape.iter().enumerate().filter(|(axis, _)| keep || !axes.contains(axis));
            kept.map(|(axis, &size)| if axes.contains(&axis) { Some(1) } else { size }).collect()
        });
        // Without the reduced dimensions, the order of those that are left must be TensorFlow's.
        let spatial_left = (1..rank.saturating_sub(1)).any(|axis| !axes.contains(&axis));
        let channels_left = rank > 0 && !axes.contains(&(rank - 1));
        let order = if keep || !(spatial_left && channels_left) { self.order(x) } else { Order::Last };
        let from = self.real(x, order)?;
        let dtype = self.real_dtype(x);
        if axes.is_empty() {
            return self.unary("Identity", name, x, vec![]);
        }
        let mut places = axes.iter().map(|&a| Ok(self.axis_in(x, a, order)? as i64)).collect::<Result<Vec<_>>>()?;
        places.sort_unstable();
        places.dedup();
        let names = self.builder.ints(&format!("{name}/axes"), &places);
        let order = if keep { order } else { Order::Last };
        Ok(self.emit(op_type, name, &[&from, &names], vec![int("keepdims", keep.into())], dtype, shape, order))
    }

    /// Whether any (`ReduceMax`) or all (`ReduceMin`) are true.
    pub fn reduce_bools(&mut self, op_type: &str, name: &str, x: Id, axes: &[i64], keep: bool) -> Result<Id> {
        let numbers = self.cast(&format!("{name}/numbers"), x, DataType::Int32)?;
        let reduced = self.reduce(op_type, &format!("{name}/reduced"), numbers, axes, keep)?;
        self.cast(name, reduced, DataType::Bool)
    }

    /// Where the largest or smallest is.
    pub fn arg(&mut self, op_type: &str, name: &str, x: Id, axis: i64, to: DataType) -> Result<Id> {
        let axis = self.axis(x, axis)?;
        let from = self.last(x)?;
        let shape = self
            .shape(x)
            .as_ref()
            .map(|shape| shape.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, &size)| size).collect());
        let found = if to == DataType::Int64 { name.to_string() } else { format!("{name}/long") };
        let attributes = vec![int("axis", axis as i64), int("keepdims", 0)];
        let found = self.emit(op_type, &found, &[&from], attributes, DataType::Int64, shape, Order::Last);
        if to == DataType::Int64 { Ok(found) } else { self.cast(name, found, to) }
    }

    pub fn transpose(&mut self, name: &str, x: Id, permutation: &[usize]) -> Result<Id> {
        let rank = self.rank(x)?;
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        ensure!(sorted.into_iter().eq(0..rank), InvalidModel, "{rank} dimensions transposed by {permutation:?}");
        let from = self.last(x)?;
        let shape = self.shape(x).as_ref().map(|shape| permutation.iter().map(|&axis| shape[axis]).collect());
        let dtype = self.real_dtype(x);
        let permutation = permutation.iter().map(|&axis| axis as i64).collect();
        Ok(self.emit("Transpose", name, &[&from], vec![ints("perm", permutation)], dtype, shape, Order::Last))
    }

    /// The same elements under the shape `to`, in which one may be -1.
    pub fn reshape(&mut self, name: &str, x: Id, to: &[i64]) -> Result<Id> {
        ensure!(to.iter().all(|&size| size >= -1), InvalidModel, "a reshape to {to:?}");
        let total = self.sizes(x).and_then(|sizes| sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)));
        let given = to.iter().filter(|&&size| size >= 0).try_fold(1usize, |n, &s| n.checked_mul(size(s)?));
        let rest = total.zip(given).and_then(|(total, given)| total.checked_div(given));
        let shape = to.iter().map(|&s| if s == -1 { rest } else { size(s) }).collect();
        let from = self.last(x)?;
        let names = self.builder.ints(&format!("{name}/shape"), to);
        let dtype = self.real_dtype(x);
        let attributes = if to.contains(&0) { vec![int("allowzero", 1)] } else { vec![] };
        Ok(self.emit("Reshape", name, &[&from, &names], attributes, dtype, Some(shape), Order::Last))
    }

    /// As [`reshape`](Self::reshape), to a shape known at run time.
    pub fn reshape_to(&mut self, name: &str, x: Id, to: Id) -> Result<Id> {
        if let Some(to) = self.known_ints(to) {
            return self.reshape(name, x, &to);
        }
        let rank = self.size(to, 0);
        let from = self.last(x)?;
        let names = self.as_longs(to)?;
        let dtype = self.real_dtype(x);
        let shape = rank.filter(|&rank| rank <= crate::graph::MAX_RANK).map(|rank| vec![None; rank]);
        Ok(self.emit("Reshape", name, &[&from, &names], vec![], dtype, shape, Order::Last))
    }

    /// Inserts dimensions of size 1, each at its place in what comes out.
    pub fn expand_dims(&mut self, name: &str, x: Id, axes: &[i64]) -> Result<Id> {
        let rank = self.rank(x)? + axes.len();
        let place = |&axis: &i64| match if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) } {
            Some(at) if (0..rank as i64).contains(&at) => Ok(at),
            _ => bail!(InvalidModel, "a dimension inserted at {axis} of {rank}"),
        };
        let places = axes.iter().map(place).collect::<Result<Vec<i64>>>()?;
        let mut old = self.shape(x).clone().unwrap_or_default().into_iter();
        let shape = (0..rank).map(|at| if places.contains(&(at as i64)) { Some(1) } else { old.next().flatten() });
        let shape = Some(shape.collect());
        let from = self.last(x)?;
        let names = self.builder.ints(&format!("{name}/axes"), &places);
        let dtype = self.real_dtype(x);
        Ok(self.emit("Unsqueeze", name, &[&from, &names], vec![], dtype, shape, Order::Last))
    }

    /// Drops dimensions of size 1: those of `axes`, or all where there are none.
    pub fn squeeze(&mut self, name: &str, x: Id, axes: &[i64]) -> Result<Id> {
        let mut places = axes.iter().map(|&axis| self.axis(x, axis)).collect::<Result<Vec<_>>>()?;
        if places.is_empty() {
            let Some(sizes) = self.sizes(x) else {
                bail!(UnsupportedOperator, "of all dimensions of size 1, where sizes are known at run time only")
            };
            places = (0..sizes.len()).filter(|&axis| sizes[axis] == 1).collect();
        }
        if places.is_empty() {
            return self.unary("Identity", name, x, vec![]);
        }
        let shape = self.shape(x).as_ref().map(|shape| {
            shape.iter().enumerate().filter(|(axis, _)| !places.contains(axis)).map(|(_, &size)| size).collect()
        });
        let from = self.last(x)?;
        let places: Vec<i64> = places.into_iter().map(|axis| axis as i64).collect();
        let names = self.builder.ints(&format!("{name}/axes"), &places);
        let dtype = self.real_dtype(x);
        Ok(self.emit("Squeeze", name, &[&from, &names], vec![], dtype, shape, Order::Last))
    }

    pub fn concat(&mut self, name: &str, inputs: &[Id], axis: i64) -> Result<Id> {
        let Some(&first) = inputs.first() else { bail!(InvalidModel, "nothing to concatenate") };
        let axis = self.axis(first, axis)?;
        let mut shape = self.shape(first).clone().unwrap_or_default();
        for &id in &inputs[1..] {
            ensure!(
                self.rank(id)? == shape.len(),
                InvalidModel,
                "{} and {} dimensions are concatenated",
                self.rank(id)?,
                shape.len()
            );
            let size = self.size(id, axis);
            shape[axis] = shape[axis].zip(size).and_then(|(a, b)| a.checked_add(b));
        }
        let order = if inputs.iter().any(|&id| self.prefers_first(id)) { Order::First } else { Order::Last };
        let at = self.axis_in(first, axis, order)? as i64;
        let names = inputs.iter().map(|&id| self.real(id, order)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let dtype = self.real_dtype(first);
        Ok(self.emit("Concat", name, &names, vec![int("axis", at)], dtype, Some(shape), order))
    }

    /// Puts values of one shape beside each other, along a new dimension.
    pub fn pack(&mut self, name: &str, inputs: &[Id], axis: i64) -> Result<Id> {
        let Some(&first) = inputs.first() else { bail!(InvalidModel, "nothing to pack") };
        let rank = self.rank(first)? as i64 + 1;
        let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
        let wider = inputs.iter().enumerate().map(|(at, &id)| self.expand_dims(&format!("{name}/{at}"), id, &[axis]));
        let wider = wider.collect::<Result<Vec<_>>>()?;
        self.concat(name, &wider, axis)
    }

    /// Cuts `x` into pieces of `sizes` along `axis`.
    pub fn split(&mut self, name: &str, x: Id, sizes: &[i64], axis: i64) -> Result<Vec<Id>> {
        let axis = self.axis(x, axis)?;
        let mut sizes = sizes.to_vec();
        if sizes.contains(&-1) {
            let known = sizes.iter().filter(|&&size| size >= 0).fold(0i64, |n, &size| n.saturating_add(size));
            let Some(all) = self.size(x, axis) else {
                bail!(UnsupportedOperator, "into the rest of a size known at run time only")
            };
            sizes.iter_mut().filter(|size| **size == -1).for_each(|size| *size = (all as i64).saturating_sub(known));
        }
        ensure!(
            !sizes.is_empty() && sizes.iter().all(|&size| size >= 0),
            InvalidModel,
            "a split into pieces of {sizes:?}"
        );
        let order = self.order(x);
        let at = self.axis_in(x, axis, order)? as i64;
        let from = self.real(x, order)?;
        let names = self.builder.ints(&format!("{name}/sizes"), &sizes);
        let dtype = self.real_dtype(x);
        let shape = |length: i64| {
            let mut shape = self.shape(x).clone()?;
            shape[axis] = size(length);
            Some(shape)
        };
        let outputs = sizes.iter().map(|&size| (dtype, shape(size))).collect();
        Ok(self.emit_all("Split", name, &[&from, &names], vec![int("axis", at)], outputs, order))
    }

    /// Cuts `x` into `count` equal pieces along `axis`.
    pub fn split_evenly(&mut self, name: &str, x: Id, count: usize, axis: i64) -> Result<Vec<Id>> {
        let at = self.axis(x, axis)?;
        let Some(all) = self.size(x, at) else { bail!(UnsupportedOperator, "of a size known at run time only") };
        let even = count > 0 && all % count == 0 && count <= all.max(1);
        ensure!(even, InvalidModel, "{all} cannot be split into {count} equal pieces");
        self.split(name, x, &vec![(all / count) as i64; count], axis)
    }

    /// The slices of `x` along `axis`, without that dimension.
    pub fn unpack(&mut self, name: &str, x: Id, count: usize, axis: i64) -> Result<Vec<Id>> {
        let at = self.axis(x, axis)?;
        ensure!(
            self.size(x, at).is_none_or(|size| size == count),
            InvalidModel,
            "{count} slices of a dimension of {:?}",
            self.size(x, at)
        );
        if count == 1 {
            return Ok(vec![self.squeeze(name, x, &[axis])?]);
        }
        let pieces = self.split(&format!("{name}/pieces"), x, &vec![1; count], axis)?;
        let slices =
            pieces.into_iter().enumerate().map(|(n, piece)| self.squeeze(&format!("{name}:{n}"), piece, &[axis]));
        slices.collect()
    }

    /// Elements from `begin` on, `size` of them, -1 for all that follow.
    pub fn slice(&mut self, name: &str, x: Id, begin: Id, length: Id) -> Result<Id> {
        let rank = self.rank(x)?;
        let dtype = self.real_dtype(x);
        let axes: Vec<i64> = (0..rank as i64).collect();
        let from = self.last(x)?;
        if let (Some(begins), Some(lengths)) = (self.known_ints(begin), self.known_ints(length)) {
            ensure!(
                begins.len() == rank && lengths.len() == rank && begins.iter().all(|&b| b >= 0),
                InvalidModel,
                "a slice from {begins:?} of {lengths:?} elements of {rank} dimensions"
            );
            let ends: Vec<i64> = begins
                .iter()
                .zip(&lengths)
                .map(|(&begin, &length)| if length < 0 { i64::MAX } else { begin.saturating_add(length) })
                .collect();
            let sizes = lengths.iter().enumerate().map(|(axis, &length)| match length {
                0.. => size(length),
                _ => self.size(x, axis).and_then(|all| all.checked_sub(size(begins[axis])?)),
            });
            let shape = Some(sizes.collect());
            let [starts, ends, axes] = [("starts", &begins), ("ends", &ends), ("axes", &axes)]
                .map(|(what, values)| self.builder.ints(&format!("{name}/{what}"), values));
            return Ok(self.emit("Slice", name, &[&from, &starts, &ends, &axes], vec![], dtype, shape, Order::Last));
        }
        let (starts, lengths) = (self.as_longs(begin)?, self.as_longs(length)?);
        let zero = self.builder.ints(&format!("{name}/zero"), &[0]);
        let all = self.builder.ints(&format!("{name}/all"), &[i64::MAX]);
        let negative = self.builder.node("Less", &format!("{name}/open"), &[&lengths, &zero], vec![]);
        let sum = self.builder.node("Add", &format!("{name}/sum"), &[&starts, &lengths], vec![]);
        let ends = self.builder.node("Where", &format!("{name}/ends"), &[&negative, &all, &sum], vec![]);
        let axes = self.builder.ints(&format!("{name}/axes"), &axes);
        let shape = Some(vec![None; rank]);
        Ok(self.emit("Slice", name, &[&from, &starts, &ends, &axes], vec![], dtype, shape, Order::Last))
    }

    pub fn strided_slice(
        &mut self,
        name: &str,
        x: Id,
        [begin, end, strides]: [Id; 3],
        masks: StridedSlice,
    ) -> Result<Id> {
        let rank = self.rank(x)?;
        let strides = self.need_ints(strides, "strides")?;
        let (begins, ends) = (self.known_ints(begin), self.known_ints(end));
        ensure!(
            strides.iter().all(|&s| s != 0 && s != i64::MIN) && strides.len() <= 2 * crate::graph::MAX_RANK,
            InvalidModel,
            "strides {strides:?}"
        );
        let entries = strides.len();
        let ellipses = (0..entries).filter(|&at| StridedSlice::has(masks.ellipsis, at)).count();
        ensure!(ellipses <= 1, InvalidModel, "a slice with {ellipses} ellipses");
        let is_new = |at: usize| StridedSlice::has(masks.new_axis, at) && !StridedSlice::has(masks.ellipsis, at);
        let used = (0..entries).filter(|&at| !is_new(at) && !StridedSlice::has(masks.ellipsis, at)).count();
        ensure!(used <= rank, InvalidModel, "a slice of {used} dimensions of a value of {rank}");
        // What becomes of each entry: which axis it cuts, between what.
        let (mut axes, mut starts, mut stops, mut steps) = (vec![], vec![], vec![], vec![]);
        let (mut dropped, mut inserted, mut sources) = (vec![], vec![], vec![]);
        let (mut axis, mut place) = (0usize, 0usize);
        for (at, &stride) in strides.iter().enumerate() {
            if StridedSlice::has(masks.ellipsis, at) {
                axis += rank - used;
                place += rank - used;
                continue;
            }
            if is_new(at) {
                inserted.push(place as i64);
                place += 1;
                continue;
            }
            let shrinks = StridedSlice::has(masks.shrink, at);
            let (open, closed) = if stride > 0 { (0, i64::MAX) } else { (i64::MAX, i64::MIN + 1) };
            let begin = begins.as_ref().map(|begins| begins.get(at).copied().unwrap_or(0));
            let end = ends.as_ref().map(|ends| ends.get(at).copied().unwrap_or(0));
            let end = if masks.offset { begin.zip(end).map(|(begin, end)| begin.saturating_add(end)) } else { end };
            let start = if StridedSlice::has(masks.begin, at) && !shrinks { Some(open) } else { begin };
            let stop = match start {
                Some(start) if shrinks => Some(if start == -1 { i64::MAX } else { start.saturating_add(1) }),
                _ if StridedSlice::has(masks.end, at) && !shrinks => Some(closed),
                _ => end,
            };
            axes.push(axis as i64);
            starts.push(start);
            stops.push(stop);
            steps.push(if shrinks { 1 } else { stride });
            sources.push((at as i64, shrinks));
            if shrinks {
                dropped.push(axis as i64);
            } else {
                place += 1;
            }
            axis += 1;
        }
        let mut shape = self.shape(x).clone().unwrap_or_default();
        for (n, &axis) in axes.iter().enumerate() {
            let axis = axis as usize;
            shape[axis] = match (shape[axis], starts[n], stops[n]) {
                _ if sources[n].1 => Some(1),
                (Some(size), Some(start), Some(stop)) => {
                    i64::try_from(size).ok().map(|size| span(size, start, stop, steps[n]))
                }
                _ => None,
            };
        }
        let dtype = self.real_dtype(x);
        let from = self.last(x)?;
        let mut value = x;
        if !axes.is_empty() {
            let starts = self.bounds(&format!("{name}/starts"), &starts, begin, &sources, None)?;
            let stops = self.bounds(&format!("{name}/ends"), &stops, end, &sources, Some(begin))?;
            let names = [("axes", &axes), ("steps", &steps)]
                .map(|(what, values)| self.builder.ints(&format!("{name}/{what}"), values));
            let inputs = [&from, &starts, &stops, &names[0], &names[1]].map(String::as_str);
            let last = dropped.is_empty() && inserted.is_empty();
            let own = if last { name.to_string() } else { format!("{name}/slice") };
            value = self.emit("Slice", &own, &inputs, vec![], dtype, Some(shape), Order::Last);
        }
        if !dropped.is_empty() {
            let own = if inserted.is_empty() { name.to_string() } else { format!("{name}/dropped") };
            value = self.squeeze(&own, value, &dropped)?;
        }
        if !inserted.is_empty() {
            value = self.expand_dims(name, value, &inserted)?;
        }
        if value == x { self.unary("Identity", name, x, vec![]) } else { Ok(value) }
    }

    /// The bounds of a slice: constants, or what `source` has at run time where a bound is not known. `begin` is given
    /// for ends: those of entries that shrink are one behind it.
    fn bounds(
        &mut self,
        name: &str,
        known: &[Option<i64>],
        source: Id,
        entries: &[(i64, bool)],
        begin: Option<Id>,
    ) -> Result<String> {
        if let Some(all) = known.iter().copied().collect::<Option<Vec<i64>>>() {
            return Ok(self.builder.ints(name, &all));
        }
        let places: Vec<i64> = entries.iter().map(|entry| entry.0).collect();
        let places = self.builder.ints(&format!("{name}/entries"), &places);
        let source = self.as_longs(source)?;
        let mut value = self.builder.node("Gather", &format!("{name}/given"), &[&source, &places], vec![]);
        let mut choose = |w: &mut Self, what: &str, flags: Vec<bool>, other: &str| -> Result<()> {
            let mask =
                Tensor::from_bytes(DataType::Bool, vec![flags.len()], flags.into_iter().map(u8::from).collect())?;
            let mask = w.builder.constant(&format!("{name}/{what}"), mask);
            value = w.builder.node("Where", &format!("{name}/{what}/value"), &[&mask, other, &value], vec![]);
            Ok(())
        };
        if let Some(begin) = begin.filter(|_| entries.iter().any(|entry| entry.1)) {
            let begin = self.as_longs(begin)?;
            let begin = self.builder.node("Gather", &format!("{name}/begin"), &[&begin, &places], vec![]);
            let (one, minus, end) = (
                self.builder.ints(&format!("{name}/one"), &[1]),
                self.builder.ints(&format!("{name}/minus"), &[-1]),
                self.builder.ints(&format!("{name}/all"), &[i64::MAX]),
            );
            let next = self.builder.node("Add", &format!("{name}/next"), &[&begin, &one], vec![]);
            let last = self.builder.node("Equal", &format!("{name}/last"), &[&begin, &minus], vec![]);
            let stop = self.builder.node("Where", &format!("{name}/stop"), &[&last, &end, &next], vec![]);
            choose(self, "shrinks", entries.iter().map(|entry| entry.1).collect(), &stop)?;
        }
        let fixed: Vec<i64> = known.iter().map(|bound| bound.unwrap_or(0)).collect();
        let fixed = self.builder.ints(&format!("{name}/known"), &fixed);
        choose(self, "fixed", known.iter().map(Option::is_some).collect(), &fixed)?;
        Ok(value)
    }

    /// Elements of `x` along `axis` at `indices`; the first `batch` dimensions of both are one and the same.
    pub fn gather(&mut self, name: &str, x: Id, indices: Id, axis: i64, batch: i64) -> Result<Id> {
        let axis = self.axis(x, axis)?;
        let dtype = self.real_dtype(x);
        let (from, at) = (self.last(x)?, self.last(indices)?);
        let shape = self.shape(x).as_ref().zip(self.shape(indices).as_ref()).map(|(x, i)| {
            let own = usize::try_from(batch).unwrap_or(0).min(i.len());
            [&x[..axis], &i[own..], &x[axis + 1..]].concat()
        });
        if batch == 0 {
            let attributes = vec![int("axis", axis as i64)];
            return Ok(self.emit("Gather", name, &[&from, &at], attributes, dtype, shape, Order::Last));
        }
        ensure!(batch == axis as i64, UnsupportedOperator, "with {batch} dimensions of a batch and axis {axis}");
        let deeper = self.expand_dims(&format!("{name}/indices"), indices, &[-1])?;
        let deeper = self.cast_name(deeper, DataType::Int64)?;
        let attributes = vec![int("batch_dims", batch)];
        Ok(self.emit("GatherND", name, &[&from, &deeper], attributes, dtype, shape, Order::Last))
    }

    pub fn gather_nd(&mut self, name: &str, x: Id, indices: Id) -> Result<Id> {
        let depth = self.rank(indices)?.checked_sub(1).and_then(|last| self.size(indices, last));
        let shape = self.shape(x).as_ref().zip(self.shape(indices).as_ref()).zip(depth);
        let shape = shape.and_then(|((x, i), depth)| Some([&i[..i.len() - 1], x.get(depth..)?].concat()));
        let dtype = self.real_dtype(x);
        let (from, at) = (self.last(x)?, self.cast_name(indices, DataType::Int64)?);
        Ok(self.emit("GatherND", name, &[&from, &at], vec![], dtype, shape, Order::Last))
    }

    /// The largest `k` along the last dimension, and where they are.
    pub fn top_k(&mut self, name: &str, x: Id, k: Id) -> Result<Vec<Id>> {
        let dtype = self.real_dtype(x);
        let count = self.known_ints(k).and_then(|k| size(*k.first()?));
        let mut shape = self.shape(x).clone();
        if let Some(last) = shape.as_mut().and_then(|shape| shape.last_mut()) {
            *last = count;
        }
        let from = self.last(x)?;
        let flat = match self.known_ints(k) {
            Some(k) => self.builder.ints(&format!("{name}/k"), &k),
            None => self.as_longs(k)?,
        };
        let outputs = vec![(dtype, shape.clone()), (DataType::Int64, shape)];
        let found = self.emit_all("TopK", name, &[&from, &flat], vec![int("axis", -1)], outputs, Order::Last);
        let places = self.cast(&format!("{name}/indices"), found[1], DataType::Int32)?;
        Ok(vec![found[0], places])
    }

    /// The elements of `pads` as ONNX has them: all beginnings, then all ends.
    pub fn pad(&mut self, name: &str, x: Id, pads: Id, value: Option<Id>, mode: &'static str) -> Result<Id> {
        let rank = self.rank(x)?;
        let dtype = self.real_dtype(x);
        let Some(known) = self.known_ints(pads) else {
            let pads = self.cast_name(pads, DataType::Int64)?;
            let pads =
                self.builder.node("Transpose", &format!("{name}/pads"), &[&pads], vec![ints("perm", vec![1, 0])]);
            let flat = self.builder.ints(&format!("{name}/flat"), &[-1]);
            let pads = self.builder.node("Reshape", &format!("{name}/pads/flat"), &[&pads, &flat], vec![]);
            let from = self.last(x)?;
            let value = value.map(|value| self.last(value)).transpose()?;
            let mut inputs = vec![from.as_str(), &pads];
            inputs.extend(value.as_deref());
            let shape = Some(vec![None; rank]);
            return Ok(self.emit("Pad", name, &inputs, vec![text("mode", mode)], dtype, shape, Order::Last));
        };
        ensure!(
            known.len() == 2 * rank && known.iter().all(|&pad| (0..=i64::from(i32::MAX)).contains(&pad)),
            InvalidModel,
            "pads {known:?} for {rank} dimensions"
        );
        let shape = self.shape(x).as_ref().map(|shape| {
            shape.iter().zip(known.chunks(2)).map(|(s, pad)| s.and_then(|s| s.checked_add((pad[0] + pad[1]) as usize)))
        });
        let shape = shape.map(Iterator::collect);
        let order = self.order(x);
        let mut ordered = vec![0; 2 * rank];
        for axis in 0..rank {
            let at = self.axis_in(x, axis, order)?;
            (ordered[at], ordered[at + rank]) = (known[2 * axis], known[2 * axis + 1]);
        }
        let from = self.real(x, order)?;
        let names = self.builder.ints(&format!("{name}/pads"), &ordered);
        let value = value.map(|value| self.last(value)).transpose()?;
        let mut inputs = vec![from.as_str(), &names];
        inputs.extend(value.as_deref());
        Ok(self.emit("Pad", name, &inputs, vec![text("mode", mode)], dtype, shape, order))
    }

    /// Pads by mirroring; `symmetric` repeats the border.
    pub fn mirror_pad(&mut self, name: &str, x: Id, pads: Id, symmetric: bool) -> Result<Id> {
        if !symmetric {
            return self.pad(name, x, pads, None, "reflect");
        }
        let known = self.need_ints(pads, "pads")?;
        if known.iter().all(|&pad| pad <= 1) {
            return self.pad(name, x, pads, None, "edge");
        }
        let rank = self.rank(x)?;
        ensure!(known.len() == 2 * rank, InvalidModel, "pads {known:?} for {rank} dimensions");
        let mut value = x;
        for (axis, pad) in known.chunks(2).enumerate().filter(|(_, pad)| pad.iter().any(|&p| p != 0)) {
            let Some(size) = self.size(value, axis) else {
                bail!(UnsupportedOperator, "of sizes known at run time only, with the border repeated")
            };
            ensure!(size <= LONGEST_MIRROR, LimitExceeded, "{size} elements mirrored; at most {LONGEST_MIRROR} are");
            let size = size as i64;
            let fits = pad.iter().all(|p| (0..=size).contains(p));
            ensure!(fits, InvalidModel, "pads {pad:?} mirror more than {size} elements");
            let before = (0..pad[0]).rev();
            let after = (0..pad[1]).map(|n| size - 1 - n);
            let places: Vec<i64> = before.chain(0..size).chain(after).collect();
            let places = self.longs(&format!("{name}/{axis}/places"), &places)?;
            value = self.gather(&format!("{name}/{axis}"), value, places, axis as i64, 0)?;
        }
        self.unary("Identity", name, value, vec![])
    }

    /// `a` where the condition holds, else `b`. Without `broadcast`, a condition of one dimension is about the first one.
    pub fn select(&mut self, name: &str, [condition, a, b]: [Id; 3], broadcast: bool) -> Result<Id> {
        let mut condition = condition;
        let rank = if broadcast { 0 } else { self.rank(a)? };
        if rank > 1 && self.rank(condition)? == 1 {
            let axes: Vec<i64> = (1..rank as i64).collect();
            condition = self.expand_dims(&format!("{name}/condition"), condition, &axes)?;
        }
        let dtype = self.real_dtype(a);
        self.elementwise("Where", name, &[condition, a, b], vec![], dtype)
    }

    /// The places where the condition holds: `[count, rank]`.
    pub fn places(&mut self, name: &str, condition: Id) -> Result<Id> {
        let rank = self.rank(condition)?;
        let from = self.cast_name(condition, DataType::Bool)?;
        let found = self.builder.node("NonZero", &format!("{name}/found"), &[&from], vec![]);
        let shape = Some(vec![None, Some(rank)]);
        let attributes = vec![ints("perm", vec![1, 0])];
        Ok(self.emit("Transpose", name, &[&found], attributes, DataType::Int64, shape, Order::Last))
    }

    pub fn tile(&mut self, name: &str, x: Id, repeats: Id) -> Result<Id> {
        let known = self.known_ints(repeats);
        let shape = self.shape(x).as_ref().map(|shape| {
            let repeat = |axis: usize| known.as_ref().and_then(|known| size(*known.get(axis)?));
            shape
                .iter()
                .enumerate()
                .map(|(axis, size)| size.zip(repeat(axis)).and_then(|(a, b)| a.checked_mul(b)))
                .collect()
        });
        let (from, repeats) = (self.last(x)?, self.as_longs(repeats)?);
        let dtype = self.real_dtype(x);
        Ok(self.emit("Tile", name, &[&from, &repeats], vec![], dtype, shape, Order::Last))
    }

    /// `x` repeated to `shape`.
    pub fn expand(&mut self, name: &str, x: Id, shape: Id) -> Result<Id> {
        let known = self.known_ints(shape);
        let out = match &known {
            Some(known) => Some(known.iter().map(|&s| size(s)).collect()),
            None => self.size(shape, 0).filter(|&rank| rank <= crate::graph::MAX_RANK).map(|rank| vec![None; rank]),
        };
        let (from, shape) = (self.last(x)?, self.as_longs(shape)?);
        let dtype = self.real_dtype(x);
        Ok(self.emit("Expand", name, &[&from, &shape], vec![], dtype, out, Order::Last))
    }

    pub fn range(&mut self, name: &str, [start, limit, delta]: [Id; 3]) -> Result<Id> {
        let dtype = self.real_dtype(start);
        let names = [self.last(start)?, self.last(limit)?, self.last(delta)?];
        let names = names.each_ref().map(String::as_str);
        Ok(self.emit("Range", name, &names, vec![], dtype, Some(vec![None]), Order::Last))
    }

    /// The shape of `x` as integers of type `to`.
    pub fn shape_of(&mut self, name: &str, x: Id, to: DataType) -> Result<Id> {
        let rank = self.shape(x).as_ref().map(Vec::len);
        if let Some(sizes) = self.sizes(x) {
            let sizes: Vec<i64> = sizes.into_iter().map(|size| size as i64).collect();
            let tensor = match to {
                DataType::Int64 => Tensor::from_vec(vec![sizes.len()], sizes)?,
                _ => Tensor::from_vec(vec![sizes.len()], sizes.into_iter().map(|size| size as i32).collect())?,
            };
            return Ok(self.constant(name, tensor, None));
        }
        let from = self.last(x)?;
        let found = if to == DataType::Int64 { name.to_string() } else { format!("{name}/long") };
        let shape = Some(vec![rank]);
        let found = self.emit("Shape", &found, &[&from], vec![], DataType::Int64, shape, Order::Last);
        if to == DataType::Int64 { Ok(found) } else { self.cast(name, found, to) }
    }

    /// `on` at each index along a new dimension of `depth`, else `off`.
    pub fn one_hot(&mut self, name: &str, [indices, depth, on, off]: [Id; 4], axis: i64) -> Result<Id> {
        let rank = self.rank(indices)? as i64;
        let place = if axis < 0 { axis.saturating_add(rank + 1) } else { axis };
        ensure!((0..=rank).contains(&place), InvalidModel, "a dimension inserted at {axis} of {rank}");
        let mut shape = self.shape(indices).clone().unwrap_or_default();
        shape.insert(place as usize, self.known_ints(depth).and_then(|depth| size(*depth.first()?)));
        let dtype = self.real_dtype(on);
        let values = [off, on].map(|id| self.reshape(&format!("{name}/value"), id, &[1]));
        let [off, on] = values;
        let values = self.concat(&format!("{name}/values"), &[off?, on?], 0)?;
        let (indices, depth, values) =
            (self.cast_name(indices, DataType::Int64)?, self.as_longs(depth)?, self.last(values)?);
        // Indices below 0 are none, where ONNX counts them from the end; those behind the end are none in both.
        let zero = self.builder.ints(&format!("{name}/zero"), &[0]);
        let negative = self.builder.node("Less", &format!("{name}/negative"), &[&indices, &zero], vec![]);
        let indices = self.builder.node("Where", &format!("{name}/indices"), &[&negative, &depth, &indices], vec![]);
        // The bounds have one dimension, which a scalar among them would get.
        let indices = match rank {
            0 => self.builder.node("Squeeze", &format!("{name}/index"), &[&indices, &zero], vec![]),
            _ => indices,
        };
        let attributes = vec![int("axis", axis)];
        Ok(self.emit("OneHot", name, &[&indices, &depth, &values], attributes, dtype, Some(shape), Order::Last))
    }

    /// `DepthToSpace` or `SpaceToDepth`.
    pub fn move_depth(&mut self, op_type: &str, name: &str, x: Id, block: i64) -> Result<Id> {
        ensure!((1..1 << 15).contains(&block), InvalidModel, "blocks of {block}");
        ensure!(self.rank(x)? == 4, InvalidModel, "an image of {} dimensions", self.rank(x)?);
        let b = block as usize;
        let shape = self.shape(x).as_ref().map(|s| match op_type {
            "DepthToSpace" => {
                vec![
                    s[0],
                    s[1].and_then(|n| n.checked_mul(b)),
                    s[2].and_then(|n| n.checked_mul(b)),
                    s[3].map(|n| n / (b * b)),
                ]
            }
            _ => vec![s[0], s[1].map(|n| n / b), s[2].map(|n| n / b), s[3].and_then(|n| n.checked_mul(b * b))],
        });
        let from = self.real(x, Order::First)?;
        let dtype = self.real_dtype(x);
        Ok(self.emit(op_type, name, &[&from], vec![int("blocksize", block)], dtype, shape, Order::First))
    }

    /// Cuts spatial dimensions into blocks, which go into the batch.
    pub fn space_to_batch(&mut self, name: &str, x: Id, blocks: &[i64], pads: &[i64]) -> Result<Id> {
        let rank = self.rank(x)?;
        let spatial = blocks.len();
        ensure!(
            spatial > 0
                && spatial < rank
                && pads.len() == 2 * spatial
                && blocks.iter().all(|b| (1..1 << 15).contains(b)),
            InvalidModel,
            "blocks {blocks:?}, pads {pads:?} for {rank} dimensions"
        );
        let all = [vec![0; 2], pads.to_vec(), vec![0; 2 * (rank - 1 - spatial)]].concat();
        let all = self.longs(&format!("{name}/pads"), &all)?;
        let padded = if pads.iter().any(|&p| p != 0) {
            self.pad(&format!("{name}/padded"), x, all, None, "constant")?
        } else {
            x
        };
        let sizes = self.inner_sizes(padded)?;
        let batch = self.size(padded, 0);
        let mut cut = vec![batch.map_or(-1, |n| n as i64)];
        for (axis, &block) in blocks.iter().enumerate() {
            ensure!(sizes[axis] % block == 0, InvalidModel, "{} elements in blocks of {block}", sizes[axis]);
            cut.extend([sizes[axis] / block, block]);
        }
        cut.extend(&sizes[spatial..]);
        let cut = self.reshape(&format!("{name}/cut"), padded, &cut)?;
        let inner: Vec<usize> = (0..spatial).map(|n| 2 + 2 * n).collect();
        let outer: Vec<usize> = (0..spatial).map(|n| 1 + 2 * n).collect();
        let rest: Vec<usize> = (1 + 2 * spatial..self.rank(cut)?).collect();
        let moved = self.transpose(&format!("{name}/moved"), cut, &[inner, vec![0], outer, rest].concat())?;
        let out = (0..spatial).map(|n| sizes[n] / blocks[n]).chain(sizes[spatial..].iter().copied());
        let out: Vec<i64> = [-1].into_iter().chain(out).collect();
        self.reshape(name, moved, &out)
    }

    /// Undoes [`space_to_batch`](Self::space_to_batch), and crops.
    pub fn batch_to_space(&mut self, name: &str, x: Id, blocks: &[i64], crops: &[i64]) -> Result<Id> {
        let rank = self.rank(x)?;
        let spatial = blocks.len();
        ensure!(
            spatial > 0
                && spatial < rank
                && crops.len() == 2 * spatial
                && blocks.iter().all(|b| (1..1 << 15).contains(b)),
            InvalidModel,
            "blocks {blocks:?}, crops {crops:?} for {rank} dimensions"
        );
        let sizes = self.inner_sizes(x)?;
        let cut: Vec<i64> = blocks.iter().copied().chain([-1]).chain(sizes.iter().copied()).collect();
        let cut = self.reshape(&format!("{name}/cut"), x, &cut)?;
        let pairs = (0..spatial).flat_map(|n| [spatial + 1 + n, n]);
        let permutation: Vec<usize> =
            [spatial].into_iter().chain(pairs).chain(2 * spatial + 1..self.rank(cut)?).collect();
        let moved = self.transpose(&format!("{name}/moved"), cut, &permutation)?;
        let grown: Vec<i64> = (0..spatial).map(|n| sizes[n].saturating_mul(blocks[n])).collect();
        let out: Vec<i64> =
            [-1].into_iter().chain(grown.iter().copied()).chain(sizes[spatial..].iter().copied()).collect();
        if crops.iter().all(|&crop| crop == 0) {
            return self.reshape(name, moved, &out);
        }
        let whole = self.reshape(&format!("{name}/whole"), moved, &out)?;
        let fits = crops
            .chunks(2)
            .zip(&grown)
            .all(|(c, &size)| c.iter().all(|c| (0..=size).contains(c)) && c[0] <= size - c[1]);
        ensure!(fits, InvalidModel, "crops {crops:?} of {grown:?}");
        let begins: Vec<i64> =
            [0].into_iter().chain(crops.iter().step_by(2).copied()).chain(vec![0; rank - 1 - spatial]).collect();
        let lengths = crops.chunks(2).zip(&grown).map(|(crop, size)| size - crop[0] - crop[1]);
        let lengths: Vec<i64> = [-1].into_iter().chain(lengths).chain(vec![-1; rank - 1 - spatial]).collect();
        let begins = self.longs(&format!("{name}/begin"), &begins)?;
        let lengths = self.longs(&format!("{name}/size"), &lengths)?;
        self.slice(name, whole, begins, lengths)
    }

    /// The sizes behind the batch, which must be known.
    fn inner_sizes(&self, x: Id) -> Result<Vec<i64>> {
        let inner = self.shape(x).as_ref().and_then(|shape| {
            shape.get(1..)?.iter().map(|size| i64::try_from((*size)?).ok()).collect::<Option<Vec<_>>>()
        });
        match inner {
            Some(inner) => Ok(inner),
            None => bail!(UnsupportedOperator, "of sizes known at run time only"),
        }
    }

    /// As many of a small integer as `x` has elements.
    pub fn filled_like(&mut self, name: &str, x: Id, value: u8) -> Result<Id> {
        let dtype = self.real_dtype(x);
        let shape = self.shape_of(&format!("{name}/shape"), x, DataType::Int64)?;
        let number = Tensor::from_vec(vec![], vec![i32::from(value)])?;
        let number = self.constant(&format!("{name}/number"), number, None);
        let number = self.cast(&format!("{name}/cast"), number, dtype)?;
        self.expand(name, number, shape)
    }

    /// Zeros of a shape, with updates added at indices: `[indices, updates, shape]`.
    pub fn scatter(&mut self, name: &str, [indices, updates, shape]: [Id; 3]) -> Result<Id> {
        let dtype = self.real_dtype(updates);
        let zero = Tensor::from_bytes(dtype, vec![], vec![0; dtype.size()])?;
        let zero = self.constant(&format!("{name}/zero"), zero, None);
        let zeros = self.expand(&format!("{name}/zeros"), zero, shape)?;
        let out = self.shape(zeros).clone();
        let names = [self.last(zeros)?, self.cast_name(indices, DataType::Int64)?, self.last(updates)?];
        let names = names.each_ref().map(String::as_str);
        Ok(self.emit("ScatterND", name, &names, vec![text("reduction", "add")], dtype, out, Order::Last))
    }

    /// Each element once, and for each element where it is among those, as integers of type `to`.
    pub fn unique(&mut self, name: &str, x: Id, to: DataType) -> Result<Vec<Id>> {
        let (from, dtype) = (self.last(x)?, self.real_dtype(x));
        let long = || (DataType::Int64, Some(vec![None]));
        let outputs = vec![(dtype, Some(vec![None])), long(), long()];
        let found = self.emit_all("Unique", name, &[&from], vec![int("sorted", 0)], outputs, Order::Last);
        let place = found[2];
        let place = if to == DataType::Int64 { place } else { self.cast(&format!("{name}/places"), place, to)? };
        Ok(vec![found[0], place])
    }

    pub fn cumsum(&mut self, name: &str, x: Id, axis: Id, exclusive: bool, reverse: bool) -> Result<Id> {
        let (from, axis) = (self.last(x)?, self.last(axis)?);
        let (dtype, shape) = (self.real_dtype(x), self.shape(x).clone());
        let attributes = vec![int("exclusive", exclusive.into()), int("reverse", reverse.into())];
        Ok(self.emit("CumSum", name, &[&from, &axis], attributes, dtype, shape, Order::Last))
    }

    /// The elements in reverse along `axes`.
    pub fn reverse(&mut self, name: &str, x: Id, axes: &[i64]) -> Result<Id> {
        let (from, dtype, shape) = (self.last(x)?, self.real_dtype(x), self.shape(x).clone());
        let axes = axes.iter().map(|&axis| Ok(self.axis(x, axis)? as i64)).collect::<Result<Vec<_>>>()?;
        let count = axes.len();
        let lists = [
            ("starts", vec![-1; count]),
            ("ends", vec![i64::MIN + 1; count]),
            ("axes", axes),
            ("steps", vec![-1; count]),
        ];
        let names = lists.map(|(what, values)| self.builder.ints(&format!("{name}/{what}"), &values));
        let inputs: Vec<&str> = std::iter::once(&from).chain(&names).map(String::as_str).collect();
        Ok(self.emit("Slice", name, &inputs, vec![], dtype, shape, Order::Last))
    }
}

/// How many elements a slice of a dimension of `size` has.
fn span(size: i64, start: i64, stop: i64, step: i64) -> usize {
    let wrap = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let count = if step > 0 {
        let (start, stop) = (wrap(start).clamp(0, size), wrap(stop).clamp(0, size));
        (stop - start).max(0) as u64
    } else {
        let (start, stop) = (wrap(start).clamp(-1, size - 1), wrap(stop).clamp(-1, size - 1));
        (start - stop).max(0) as u64
    };
    count.div_ceil(step.unsigned_abs()) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ErrorKind;
    use crate::import::builder::Builder;

    #[test]
    fn sizes_beyond_a_signed_integer_are_not_known() {
        let mut w = Writer::new(Builder::new("main"), HashSet::new());
        let x = w.given("x".to_string(), DataType::Float32, Some(vec![Some(usize::MAX)]), None);
        let ints = [0, 5, 1].map(|value| w.longs("value", &[value]).expect("a constant"));
        let cut = w.strided_slice("cut", x, ints, StridedSlice::default()).expect("a slice");
        assert_eq!(w.shape(cut), &Some(vec![None]));
        let rest = w.split("rest", x, &[-1, i64::MAX], 0).map(|_| ()).expect_err("pieces larger than the whole");
        assert_eq!(rest.kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn crops_without_end_are_refused() {
        let mut w = Writer::new(Builder::new("main"), HashSet::new());
        let x = w.given("x".to_string(), DataType::Float32, Some(vec![None, Some(1 << 62), Some(1)]), None);
        let cropped = w.batch_to_space("whole", x, &[2], &[i64::MAX, i64::MAX]).expect_err("nothing is left");
        assert_eq!(cropped.kind(), ErrorKind::InvalidModel);
    }

    #[test]
    fn slices_have_as_many_elements_as_in_python() {
        // list(range(5))[slice(…)]
        for (start, stop, step, count) in
            [(0, i64::MAX, 1, 5), (1, -1, 2, 2), (i64::MAX, i64::MIN + 1, -1, 5), (-1, 0, -2, 2), (3, 1, 1, 0)]
        {
            assert_eq!(span(5, start, stop, step), count, "{start}:{stop}:{step}");
        }
    }
}
