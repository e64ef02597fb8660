//! What SVMClassifier and SVMRegressor share: kernels.

use super::Attributes;
use super::ml::dot;
use crate::error::{Result, bail, ensure};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// A kernel of two vectors.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    kind: Kind,
    gamma: f32,
    coef0: f32,
    degree: f32,
}

impl Kernel {
    /// The node's kernel; a linear one where there are no support vectors.
    pub fn read(attributes: &Attributes<'_>, vectors: usize) -> Result<Self> {
        let kind = match attributes.choice("kernel_type", &["LINEAR", "POLY", "RBF", "SIGMOID"])? {
            "POLY" if vectors > 0 => Kind::Poly,
            "RBF" if vectors > 0 => Kind::Rbf,
            "SIGMOID" if vectors > 0 => Kind::Sigmoid,
            _ => Kind::Linear,
        };
        let [gamma, coef0, degree] = match attributes.floats("kernel_params")? {
            None | Some([]) => [0.0; 3],
            Some(&[gamma, coef0, degree]) => [gamma, coef0, degree],
            Some(other) => bail!(InvalidModel, "expected 3 \"kernel_params\", got {}", other.len()),
        };
        Ok(Self { kind, gamma, coef0, degree })
    }

    fn of(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.kind {
            Kind::Linear => dot(a, b),
            Kind::Poly => {
                let x = self.gamma * dot(a, b) + self.coef0;
                match self.degree {
                    2.0 => x * x,
                    3.0 => x * x * x,
                    degree => x.powf(degree),
                }
            }
            Kind::Rbf => (-self.gamma * a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()).exp(),
            Kind::Sigmoid => (self.gamma * dot(a, b) + self.coef0).tanh(),
        }
    }

    /// The kernels of `x` and each of `vectors`, all as long as `x`.
    pub fn with_each(&self, x: &[f32], vectors: &[f32], count: usize) -> Vec<f32> {
        (0..count).map(|i| self.of(x, &vectors[i * x.len()..(i + 1) * x.len()])).collect()
    }
}

/// The length of each of `count` vectors that lie one after another; `count` is at least 1.
pub fn length_of_each(name: &str, vectors: &[f32], count: usize) -> Result<usize> {
    ensure!(
        vectors.len().is_multiple_of(count),
        InvalidModel,
        "{} \"{name}\" do not make {count} vectors of one length",
        vectors.len()
    );
    Ok(vectors.len() / count)
}
