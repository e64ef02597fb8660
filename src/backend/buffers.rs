//! Memory of tensors that nobody needs any more, for those that are made next. A new vector is filled
//! with zeros before a kernel fills it with results; one that was used before is not.

use std::cell::RefCell;

use burn_flex::FlexTensor;
use burn_std::DType;

/// Vectors that are kept of each type.
const KEPT: usize = 16;
/// How many times the largest of them all may be together: about what a network's largest node holds
/// while it runs.
const TOGETHER: usize = 2;

thread_local! {
    static FLOATS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    static BYTES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A vector of `count` elements, of any values.
fn take<T: Copy + Default>(kept: &RefCell<Vec<Vec<T>>>, count: usize) -> Vec<T> {
    let mut kept = kept.borrow_mut();
    // One that is far too large would keep its memory from a tensor that needs it.
    let fits = |v: &&Vec<T>| v.capacity() >= count && v.capacity() / 4 <= count;
    let best = kept.iter().filter(fits).map(Vec::capacity).min();
    match best.and_then(|capacity| kept.iter().position(|v| v.capacity() == capacity)) {
        Some(at) => {
            let mut vector = kept.swap_remove(at);
            vector.resize(count, T::default());
            vector
        }
        None => vec![T::default(); count],
    }
}

fn keep<T>(kept: &RefCell<Vec<Vec<T>>>, vector: Vec<T>) {
    let mut kept = kept.borrow_mut();
    kept.push(vector);
    // The small ones go first: they are soon made again.
    kept.sort_unstable_by_key(|v| std::cmp::Reverse(v.capacity()));
    let most = TOGETHER * kept[0].capacity();
    while kept.len() > KEPT || kept.iter().map(Vec::capacity).sum::<usize>() > most {
        kept.pop();
    }
}

/// A vector of `count` numbers, of any values.
pub fn floats(count: usize) -> Vec<f32> {
    FLOATS.with(|kept| take(kept, count))
}

/// A vector of `count` bytes, of any values.
pub fn bytes(count: usize) -> Vec<u8> {
    BYTES.with(|kept| take(kept, count))
}

/// Keeps the memory of a tensor that was used for the last time, where it is nobody else's.
pub fn recycle(tensor: FlexTensor) {
    let (unique, dtype) = (tensor.is_unique(), tensor.dtype());
    if !unique {
        return;
    }
    let data = tensor.data_arc();
    drop(tensor);
    let Ok(data) = std::sync::Arc::try_unwrap(data) else { return };
    match dtype {
        DType::F32 => {
            if let Ok(vector) = data.try_into_vec::<f32>() {
                FLOATS.with(|kept| keep(kept, vector));
            }
        }
        DType::U8 | DType::I8 => {
            if let Ok(vector) = data.try_into_vec::<u8>() {
                BYTES.with(|kept| keep(kept, vector));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tensor_of;
    use crate::graph::DataType;

    #[test]
    fn memory_comes_back_unless_it_is_shared() {
        let tensor = |count| tensor_of(DataType::Float32, &[count], vec![7f32; count]);
        let kept = || FLOATS.with(|kept| kept.borrow().len());
        let shared = tensor(10);
        recycle(shared.clone());
        assert_eq!((kept(), shared.bytes()[3]), (0, 7f32.to_le_bytes()[3]));
        recycle(tensor(100));
        assert_eq!(kept(), 1);
        // Far too large, then too small, then right.
        assert_eq!(floats(10), [0.0; 10]);
        assert_eq!(floats(101), [0.0; 101]);
        assert_eq!(floats(60), [7.0; 60]);
        assert_eq!(kept(), 0);
        let capacities = || FLOATS.with(|kept| kept.borrow().iter().map(Vec::capacity).collect::<Vec<_>>());
        [100, 60, 50, 200, 30].into_iter().for_each(|count| recycle(tensor(count)));
        assert_eq!(capacities(), [200, 100, 60, 30]);
        (0..2 * KEPT).for_each(|_| recycle(tensor(1)));
        // Ten of 1 fit below twice 200.
        assert_eq!(capacities().len(), 14);
    }
}
