//! TfIdfVectorizer: how often each n-gram of a pool is in a row of tokens, skipping up to so many between them; weighted.

use std::collections::HashMap;

use super::inputs::{Info, Inputs, Type, Value, one, output, shape_of};
use super::{Attributes, Dtypes, Op, Operator, tensor_type};
use crate::backend::Device;
use crate::error::{Result, bail, ensure};
use crate::graph::{DataType, Tensor};

/// TfIdfVectorizer.
pub const OPERATOR: Operator = Operator {
    name: "TfIdfVectorizer",
    attributes: &[
        "max_gram_length",
        "max_skip_count",
        "min_gram_length",
        "mode",
        "ngram_counts",
        "ngram_indexes",
        "pool_int64s",
        "pool_strings",
        "weights",
    ],
    build,
    ..Operator::DEFAULT
};

/// Numbers for the pool's tokens.
enum Tokens {
    Strings(HashMap<String, usize>),
    Ints(HashMap<i64, usize>),
}

struct TfIdfVectorizer {
    mode: &'static str,
    shortest: usize,
    longest: usize,
    skips: usize,
    tokens: Tokens,
    /// The n-grams as a tree: from a node and a token to a node; 0 is the root.
    edges: HashMap<(usize, usize), usize>,
    /// The column that a node counts in, where an n-gram ends.
    columns: Vec<Option<usize>>,
    width: usize,
    weights: Option<Vec<f32>>,
}

fn numbered<T: std::hash::Hash + Eq>(pool: Vec<T>) -> (HashMap<T, usize>, Vec<usize>) {
    let mut numbers = HashMap::new();
    let sequence = pool.into_iter().map(|token| {
        let next = numbers.len();
        *numbers.entry(token).or_insert(next)
    });
    let sequence = sequence.collect();
    (numbers, sequence)
}

fn build(attributes: &Attributes<'_>) -> Result<Box<dyn Op>> {
    let size = |name: &str, least: i64| match attributes.int(name)? {
        Some(v) if v >= least => Ok(usize::try_from(v).unwrap_or(usize::MAX)),
        Some(v) => bail!(InvalidModel, "attribute \"{name}\" is {v}, expected {least} or more"),
        None => bail!(InvalidModel, "attribute \"{name}\" is missing"),
    };
    let list = |name: &str| match attributes.ints(name)? {
        Some(values) if !values.is_empty() => Ok(values),
        _ => bail!(InvalidModel, "attribute \"{name}\" is missing"),
    };
    let (shortest, longest) = (size("min_gram_length", 1)?, size("max_gram_length", 1)?);
    let (starts, indexes) = (list("ngram_counts")?, list("ngram_indexes")?);
    ensure!(
        shortest <= longest && longest <= starts.len(),
        InvalidModel,
        "n-grams of {shortest} to {longest} tokens, and {} entries in \"ngram_counts\"",
        starts.len()
    );
    ensure!(attributes.string("mode")?.is_some(), InvalidModel, "attribute \"mode\" is missing");
    let (tokens, pool) = match (attributes.strings("pool_strings")?, attributes.ints("pool_int64s")?) {
        (Some(strings), None | Some([])) if !strings.is_empty() => {
            let (numbers, pool) = numbered(strings);
            (Tokens::Strings(numbers), pool)
        }
        (None, Some(ints)) if !ints.is_empty() => {
            let (numbers, pool) = numbered(ints.to_vec());
            (Tokens::Ints(numbers), pool)
        }
        _ => bail!(InvalidModel, "expected either \"pool_strings\" or \"pool_int64s\""),
    };
    let mut op = TfIdfVectorizer {
        mode: attributes.choice("mode", &["TF", "IDF", "TFIDF"])?,
        shortest,
        longest,
        skips: size("max_skip_count", 0)?,
        tokens,
        edges: HashMap::new(),
        columns: vec![None],
        width: 0,
        weights: attributes.floats("weights")?.map(<[f32]>::to_vec),
    };
    let columns: Option<Vec<usize>> = indexes.iter().map(|&i| usize::try_from(i).ok()).collect();
    let Some(columns) = columns else { bail!(InvalidModel, "attribute \"ngram_indexes\" holds a negative index") };
    op.width = columns.iter().max().map_or(0, |m| m.saturating_add(1));
    if let Some(weights) = &op.weights {
        ensure!(
            weights.len() == columns.len() && weights.len() >= op.width,
            InvalidModel,
            "{} weights for {} n-grams in {} columns",
            weights.len(),
            columns.len(),
            op.width
        );
    }
    let mut id = 0;
    for (i, &start) in starts.iter().enumerate() {
        let length = i + 1;
        let end = starts.get(length).copied().unwrap_or(pool.len() as i64);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok()).and_then(|(a, b)| pool.get(a..b));
        let Some(grams) = range.filter(|grams| grams.len().is_multiple_of(length)) else {
            bail!(InvalidModel, "\"ngram_counts\" {starts:?} do not divide a pool of {} into n-grams", pool.len())
        };
        for gram in grams.chunks_exact(length) {
            let Some(&column) = columns.get(id) else {
                bail!(InvalidModel, "the pool has more n-grams than \"ngram_indexes\", {}", columns.len())
            };
            id += 1;
            if (shortest..=longest).contains(&length) {
                op.insert(gram, column)?;
            }
        }
    }
    Ok(Box::new(op))
}

impl TfIdfVectorizer {
    fn insert(&mut self, gram: &[usize], column: usize) -> Result<()> {
        let mut node = 0;
        for &token in gram {
            let next = self.columns.len();
            node = *self.edges.entry((node, token)).or_insert(next);
            if node == next {
                self.columns.push(None);
            }
        }
        ensure!(self.columns[node].replace(column).is_none(), InvalidModel, "an n-gram is in the pool twice");
        Ok(())
    }

    /// Counts the n-grams of `row`, whose tokens are numbers of the pool's or none.
    fn count(&self, row: &[Option<usize>], counts: &mut [f32]) {
        let mut shortest = self.shortest;
        let mut distance = 1usize;
        // Single tokens are the same at every distance.
        while distance - 1 <= self.skips && shortest <= self.longest {
            if distance.saturating_mul(shortest - 1) >= row.len() {
                break;
            }
            for start in 0..row.len() {
                let mut node = 0;
                let at = (start..row.len()).step_by(distance).take(self.longest);
                for (i, position) in at.enumerate() {
                    let Some(&next) = row[position].and_then(|token| self.edges.get(&(node, token))) else { break };
                    node = next;
                    if i + 1 >= shortest
                        && let Some(column) = self.columns[node]
                    {
                        counts[column] += 1.0;
                    }
                }
            }
            shortest = shortest.max(2);
            distance += 1;
        }
    }
}

impl Op for TfIdfVectorizer {
    fn types(&self, inputs: &[Option<Type>]) -> Result<Vec<Type>> {
        let allowed = match self.tokens {
            Tokens::Strings(_) => Dtypes::Only(DataType::String),
            Tokens::Ints(_) => Dtypes::Index,
        };
        tensor_type(inputs, 0, allowed)?;
        Ok(vec![Type::Tensor(DataType::Float32)])
    }

    fn infer(&self, inputs: &Inputs) -> Result<Vec<Option<Info>>> {
        match inputs.shape(0)? {
            [] | [_] => one(DataType::Float32, [self.width]),
            [rows, _] => one(DataType::Float32, [*rows, self.width]),
            shape => bail!(ShapeMismatch, "expected [C] or [N, C], got {shape:?}"),
        }
    }

    fn run(&self, _: &dyn Device, mut inputs: Inputs, outputs: &[Option<Info>]) -> Result<Vec<Value>> {
        let tensor = inputs.take_host(0)?;
        let row: Vec<Option<usize>> = match &self.tokens {
            Tokens::Strings(numbers) => {
                tensor.strings().unwrap_or_default().iter().map(|s| numbers.get(s).copied()).collect()
            }
            Tokens::Ints(numbers) => tensor.to_i64s()?.iter().map(|v| numbers.get(v).copied()).collect(),
        };
        let shape = shape_of(outputs, 0)?;
        let mut counts = vec![0f32; shape.iter().product()];
        let length = tensor.shape().last().copied().unwrap_or(1);
        for (i, counts) in counts.chunks_exact_mut(self.width).enumerate() {
            self.count(&row[i * length..(i + 1) * length], counts);
            if self.mode == "IDF" {
                counts.iter_mut().for_each(|c| *c = c.min(1.0));
            }
            if let (Some(weights), "IDF" | "TFIDF") = (&self.weights, self.mode) {
                counts.iter_mut().zip(weights).for_each(|(c, w)| *c *= w);
            }
        }
        output(Tensor::from_vec(shape.to_vec(), counts)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorKind;
    use crate::graph::Attribute;
    use crate::support::{Random, Single, f32s, i64s, strings};

    fn op(pool: &[i64], counts: &[i64], lengths: [i64; 2], skips: i64, mode: &str) -> Single<'static> {
        let grams: i64 = (counts.iter().chain([&(pool.len() as i64)]).collect::<Vec<_>>().windows(2).zip(1..))
            .map(|(w, n)| (w[1] - w[0]) / n)
            .sum();
        Single::new("TfIdfVectorizer", 9)
            .with("pool_int64s", Attribute::Ints(pool.to_vec()))
            .with("ngram_counts", Attribute::Ints(counts.to_vec()))
            .with("ngram_indexes", Attribute::Ints((0..grams).collect()))
            .int("min_gram_length", lengths[0])
            .int("max_gram_length", lengths[1])
            .int("max_skip_count", skips)
            .string("mode", mode)
    }

    /// Every n-gram, at every distance and place, looked up in the pool.
    #[test]
    fn as_a_search() {
        let mut random = Random::new(5);
        for _ in 0..40 {
            let (pool, counts) = (vec![1, 2, 3, 1, 2, 2, 1, 3, 3, 1, 2, 3, 2, 2, 2], vec![0, 3, 9]);
            let grams: Vec<&[i64]> =
                pool[..3].chunks(1).chain(pool[3..9].chunks(2)).chain(pool[9..].chunks(3)).collect();
            let (shortest, longest) = (random.within(1, 3), random.within(1, 3));
            let (shortest, longest) = (shortest.min(longest), shortest.max(longest));
            let skips = random.within(0, 4);
            let row: Vec<i64> = (0..random.within(0, 9)).map(|_| random.within(1, 4) as i64).collect();
            let expected = grams.iter().map(|gram| {
                let distances = if gram.len() == 1 { 1..=1 } else { 1..=skips + 1 };
                let starts = distances.flat_map(|d| (0..row.len()).map(move |s| (d, s)));
                let found = starts.filter(|&(d, s)| (0..gram.len()).all(|i| row.get(s + i * d) == Some(&gram[i])));
                if (shortest..=longest).contains(&gram.len()) { found.count() as f32 } else { 0.0 }
            });
            let expected: Vec<f32> = expected.collect();
            let op = op(&pool, &counts, [shortest as i64, longest as i64], skips as i64, "TF");
            let got = op.one(&[i64s(&[row.len()], &row)]);
            assert_eq!(got.as_slice::<f32>().unwrap(), expected, "{row:?} {shortest} {longest} {skips}");
        }
    }

    #[test]
    fn edges() {
        let weighted =
            |mode| op(&[7, 8], &[0], [1, 1], i64::MAX, mode).with("weights", Attribute::Floats(vec![0.5, 2.0]));
        let x = i64s(&[2, 3], &[7, 7, 8, 1, 8, 8]);
        assert_eq!(weighted("TF").one(std::slice::from_ref(&x)).as_slice::<f32>().unwrap(), [2.0, 1.0, 0.0, 2.0]);
        assert_eq!(weighted("IDF").one(std::slice::from_ref(&x)).as_slice::<f32>().unwrap(), [0.5, 2.0, 0.0, 2.0]);
        assert_eq!(weighted("TFIDF").one(&[x]).as_slice::<f32>().unwrap(), [1.0, 2.0, 0.0, 4.0]);
        assert_eq!(weighted("TF").one(&[i64s(&[0, 3], &[])]).shape(), [0, 2]);
        assert_eq!(weighted("TF").one(&[i64s(&[], &[8])]).as_slice::<f32>().unwrap(), [0.0, 1.0]);
        let far = op(&[1, 2], &[0, 0], [2, 2], i64::MAX, "TF").one(&[i64s(&[4], &[1, 0, 0, 2])]);
        assert_eq!(far.as_slice::<f32>().unwrap(), [1.0]);
    }

    #[test]
    fn errors() {
        let x = || [i64s(&[1], &[1])];
        for bad in [
            op(&[1, 2], &[0], [0, 1], 0, "TF"),
            op(&[1, 2], &[0], [1, 2], 0, "TF"),
            op(&[1, 1], &[0], [1, 1], 0, "TF"),
            op(&[1, 2], &[0], [1, 1], -1, "TF"),
            op(&[1, 2, 3], &[0, 2], [1, 1], 0, "TF"),
            op(&[1, 2], &[0, 5], [1, 1], 0, "TF"),
            op(&[1, 2], &[-1], [1, 1], 0, "TF"),
            op(&[1, 2], &[0], [1, 1], 0, "TF").with("ngram_indexes", Attribute::Ints(vec![0])),
            op(&[1, 2], &[0], [1, 1], 0, "TF").with("weights", Attribute::Floats(vec![0.0])),
            op(&[1, 2], &[0], [1, 1], 0, "TF").with("pool_strings", Attribute::Strings(vec![b"a".to_vec()])),
        ] {
            let error = bad.error(&x());
            assert_eq!(error.kind(), ErrorKind::InvalidModel, "{error}");
        }
        assert_eq!(op(&[1], &[0], [1, 1], 0, "BM25").error(&x()).kind(), ErrorKind::Unsupported);
        let huge = op(&[1], &[0], [1, 1], 0, "TF").with("ngram_indexes", Attribute::Ints(vec![i64::MAX]));
        assert_eq!(huge.error(&x()).kind(), ErrorKind::LimitExceeded);
        assert_eq!(op(&[1], &[0], [1, 1], 0, "TF").error(&[strings(&[1], &["a"])]).kind(), ErrorKind::Unsupported);
        assert_eq!(op(&[1], &[0], [1, 1], 0, "TF").error(&[i64s(&[1, 1, 1], &[1])]).kind(), ErrorKind::ShapeMismatch);
        op(&[1], &[0], [1, 1], 0, "TF").error(&[f32s(&[1], vec![1.0])]);
    }
}
