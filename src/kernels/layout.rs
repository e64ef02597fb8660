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

/// Copies a view into `target`, itself strided (from `target_offset`).
pub fn copy<T: Copy>(source: &Strided<'_, T>, target: &mut [T], target_offset: usize, target_strides: &[isize]) {
    if source.shape.contains(&0) {
        return;
    }
    let (shape, strides) = merge(source.shape, &[source.strides, target_strides]);
    let (from, to) = (&strides[0], &strides[1]);
    let inner = shape[shape.len() - 1];
    let (step_from, step_to) = (from[shape.len() - 1], to[shape.len() - 1]);
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
