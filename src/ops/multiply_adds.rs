//! How much a node multiplies and adds, for a profile. What comes beside sums of products
//! (a bias, an activation, a softmax) is not counted.

use super::Info;

/// Multiply-adds of a node in one run, by what is multiplied: a machine's peak differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MultiplyAdds {
    /// Of 8-bit integers.
    pub int8: u64,
    /// Of floats, and of wider integers.
    pub float: u64,
}

impl MultiplyAdds {
    /// Those of floats; the product of `factors`.
    pub fn float(factors: &[usize]) -> Self {
        Self { float: product(factors), int8: 0 }
    }

    /// Those of 8-bit integers; the product of `factors`.
    pub fn int8(factors: &[usize]) -> Self {
        Self { int8: product(factors), float: 0 }
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.int8.saturating_add(self.float)
    }
}

impl std::ops::Add for MultiplyAdds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { int8: self.int8.saturating_add(other.int8), float: self.float.saturating_add(other.float) }
    }
}

fn product(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product, &factor| product.saturating_mul(factor as u64))
}

/// Elements of output `index` of those inferred.
pub fn count_of(outputs: &[Option<Info>], index: usize) -> usize {
    outputs.get(index).and_then(Option::as_ref).map_or(0, |info| info.shape.iter().product())
}

/// Products that a convolution's weight `[M, C / group, kernel…]` takes for each of its M rows.
pub fn depth_of(weight: &[usize]) -> usize {
    weight.iter().skip(1).product()
}
