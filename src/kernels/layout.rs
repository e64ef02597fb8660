//! Strided views: which element lies where, and copies between layouts.

/// A view of `data`: element `[i, j, …]` lies at `offset + i * strides[0] + j * strides[1] + …`.
pub struct Strided<'a, T> {
    pub data: &'a [T],
    pub offset: usize,
    pub shape: &'a [usize],
    pub strides: &'a [isize],
}

impl<T> Strided<'_, T> {
    /// The strides when broadcast to `shape`: 0 along repeated dimensions.
    pub fn strides_for(&self, shape: &[usize]) -> Vec<isize> {
        let lead = shape.len() - self.shape.len();
        let own = self.shape.iter().zip(self.strides).map(|(&d, &s)| if d == 1 { 0 } else { s });
        std::iter::repeat_n(0, lead).chain(own).collect()
    }
}

/// Drops dimensions of size 1 and merges neighbours that every view walks alike, so that the
/// innermost rows are as long as can be. Keeps at least one dimension.
pub fn merge(shape: &[usize], strides: &[&[isize]]) -> (Vec<usize>, Vec<Vec<isize>>) {
    let mut sizes: Vec<usize> = Vec::with_capacity(shape.len().max(1));
    let mut merged: Vec<Vec<isize>> = vec![Vec::with_capacity(shape.len().max(1)); strides.len()];
    for (d, &size) in shape.iter().enumerate() {
        if size == 1 {
            continue;
        }
        let joins =
            !sizes.is_empty() && strides.iter().zip(&merged).all(|(s, m)| m[m.len() - 1] == s[d] * size as isize);
        if joins {
            *sizes.last_mut().expect("not empty") *= size;
            for (s, m) in strides.iter().zip(&mut merged) {
                *m.last_mut().expect("not empty") = s[d];
            }
        } else {
            sizes.push(size);
            for (s, m) in strides.iter().zip(&mut merged) {
                m.push(s[d]);
            }
        }
    }
    if sizes.is_empty() {
        sizes.push(1);
        merged.iter_mut().for_each(|m| m.push(0));
    }
    (sizes, merged)
}

/// Calls `f` with each view's offset at the start of every innermost row, in row-major order.
pub fn for_each_row(shape: &[usize], strides: &[&[isize]], mut f: impl FnMut(&[isize])) {
    let outer = shape.len().saturating_sub(1);
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0usize; outer];
    let mut offsets = vec![0isize; strides.len()];
    loop {
        f(&offsets);
        let mut d = outer;
        loop {
            if d == 0 {
                return;
            }
            d -= 1;
            index[d] += 1;
            for (o, s) in offsets.iter_mut().zip(strides) {
                *o += s[d];
            }
            if index[d] < shape[d] {
                break;
            }
            for (o, s) in offsets.iter_mut().zip(strides) {
                *o -= s[d] * shape[d] as isize;
            }
            index[d] = 0;
        }
    }
}

/// The strides of a row-major tensor.
pub fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1isize; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d] as isize;
    }
    strides
}

/// The dimensions of a view from the one whose elements lie farthest apart to the one whose elements
/// lie together: in that order a tensor without holes is row-major. It is the logical order, or that of
/// channels-last, wherever they fit (a dimension of size 1 may stand anywhere), and the logical one for
/// views that repeat elements or walk backwards.
pub fn memory_order(shape: &[usize], strides: &[isize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..shape.len()).collect();
    let falls =
        |order: &[usize]| order.iter().filter(|&&d| shape[d] > 1).is_sorted_by(|&&a, &&b| strides[a] >= strides[b]);
    let forwards = std::iter::zip(shape, strides).all(|(&size, &stride)| size == 1 || stride > 0);
    if !forwards || falls(&order) {
        return order;
    }
    order[1..].rotate_left(1);
    if !falls(&order) {
        order.sort_by_key(|&d| std::cmp::Reverse(if shape[d] == 1 { isize::MAX } else { strides[d] }));
    }
    order
}

/// The strides that make a view of `shape` of what `from` shows with `strides`, where there are any.
pub fn reshaped(from: &[usize], strides: &[isize], shape: &[usize]) -> Option<Vec<isize>> {
    // Pieces of memory that are walked in one go, each of them cut into dimensions of the new shape.
    let (sizes, merged) = merge(from, &[strides]);
    let mut out = vec![0; shape.len()];
    let mut d = shape.len();
    for (&size, &stride) in sizes.iter().zip(&merged[0]).rev() {
        let (mut left, mut step) = (size, stride);
        while d > 0 && left > 1 {
            d -= 1;
            out[d] = step;
            step *= shape[d] as isize;
            if shape[d] == 0 || left % shape[d] != 0 {
                return None;
            }
            left /= shape[d];
        }
        if left != 1 {
            return None;
        }
    }
    // What is left is of size 1.
    out[..d].fill(from.iter().zip(strides).map(|(&size, &stride)| size as isize * stride).max().unwrap_or(1));
    Some(out)
}

/// Sides of the blocks in which [`copy`] exchanges two dimensions: both sides' cache lines are used whole.
const TILE: usize = 16;

/// Copies a view into `target`, itself strided (from `target_offset`).
pub fn copy<T: Copy>(source: &Strided<'_, T>, target: &mut [T], target_offset: usize, target_strides: &[isize]) {
    if source.shape.contains(&0) {
        return;
    }
    let (mut shape, strides) = merge(source.shape, &[source.strides, target_strides]);
    let last = shape.len() - 1;
    // The dimension along which the source lies together, where it is another than the target's.
    let turned = (0..last).find(|&d| strides[0][d] == 1 && strides[0][last] > 1 && strides[1][last] == 1);
    if let Some(d) = turned {
        let (columns, columns_from) = (std::mem::replace(&mut shape[last], 1), strides[0][last] as usize);
        let (rows, rows_to) = (std::mem::replace(&mut shape[d], 1), strides[1][d] as usize);
        for_each_row(&shape, &[&strides[0], &strides[1]], |offsets| {
            let from = &source.data[(source.offset as isize + offsets[0]) as usize..];
            let to = &mut target[(target_offset as isize + offsets[1]) as usize..];
            turn((from, columns_from), (to, rows_to), [rows, columns]);
        });
        return;
    }
    let (from, to) = (&strides[0], &strides[1]);
    let inner = shape[last];
    let (step_from, step_to) = (from[last], to[last]);
    for_each_row(&shape, &[from, to], |offsets| {
        let mut a = source.offset as isize + offsets[0];
        let mut b = target_offset as isize + offsets[1];
        if step_from == 1 && step_to == 1 {
            let (a, b) = (a as usize, b as usize);
            target[b..b + inner].copy_from_slice(&source.data[a..a + inner]);
        } else {
            for _ in 0..inner {
                target[b as usize] = source.data[a as usize];
                a += step_from;
                b += step_to;
            }
        }
    });
}

/// Writes `[rows, columns]` from `[columns, rows]`, of which lines begin as far apart as is said.
fn turn<T: Copy>((from, line): (&[T], usize), (to, row): (&mut [T], usize), [rows, columns]: [usize; 2]) {
    // Few columns are few cache lines, however long.
    let tall = if columns <= 4 { rows } else { TILE };
    for r in (0..rows).step_by(tall.max(1)) {
        let height = tall.min(rows - r);
        for c in (0..columns).step_by(TILE) {
            for c in c..columns.min(c + TILE) {
                let values = &from[c * line + r..][..height];
                to[r * row + c..].iter_mut().step_by(row).zip(values).for_each(|(to, &v)| *to = v);
            }
        }
    }
}
