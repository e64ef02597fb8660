//! The largest values of an output, by the names of what they stand for.

use std::path::Path;

use firebrand::Tensor;
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::{model, output};

/// One of the largest values.
#[derive(Debug, Serialize)]
pub struct Ranked {
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub value: f64,
}

/// Reads labels, the first for index 0: a JSON array of strings, or one label a line.
pub fn read_labels(path: &Path) -> Outcome<Vec<String>> {
    let wrong = |why: String| Failure::input(format!("{}: {why}", path.display()));
    let bytes = model::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text".to_string()))?;
    let text = text.trim_start_matches('\u{feff}');
    let labels: Vec<String> = if text.trim_start().starts_with('[') {
        let expected = |error| wrong(format!("expected a JSON array of strings, or one label a line: {error}"));
        serde_json::from_str(text).map_err(expected)?
    } else {
        text.lines().map(|line| line.trim().to_string()).collect()
    };
    if labels.is_empty() {
        return Err(wrong("it has no labels".to_string()));
    }
    Ok(labels)
}

/// The `count` largest numbers of a vector, the largest first; none where `tensor` is no vector
/// of numbers. Dimensions of size 1 do not count. NaN is never among them.
pub fn rank(tensor: &Tensor, count: usize, labels: Option<&[String]>) -> Option<Vec<Ranked>> {
    let long = tensor.shape().iter().filter(|&&size| size > 1).count();
    if long != 1 || tensor.is_empty() {
        return None;
    }
    let mut order: Vec<(usize, f64)> =
        output::numbers(tensor)?.into_iter().enumerate().filter(|(_, value)| !value.is_nan()).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.truncate(count);
    let ranked = |(index, value)| Ranked { index, label: labels.and_then(|l| l.get(index).cloned()), value };
    Some(order.into_iter().map(ranked).collect())
}

/// A bar of `width` characters, filled in eighths up to `share` (from 0 to 1).
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first() {
        let values = vec![0.1f32, f32::NAN, 0.7, 0.1, f32::INFINITY];
        let labels: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let ranked = rank(&Tensor::from_vec(vec![1, 5, 1], values).unwrap(), 4, Some(&labels)).unwrap();
        assert_eq!(ranked.iter().map(|r| r.index).collect::<Vec<_>>(), [4, 2, 0, 3]);
        assert_eq!(ranked[1].label.as_deref(), Some("c"));
        assert_eq!(ranked[0].label, None);
        assert!(rank(&Tensor::from_vec(vec![2, 2], vec![1f32; 4]).unwrap(), 1, None).is_none());
        assert!(rank(&Tensor::from_vec(vec![1, 0], Vec::<f32>::new()).unwrap(), 1, None).is_none());
        assert!(rank(&Tensor::from_strings(vec![2], vec!["".into(), "".into()]).unwrap(), 1, None).is_none());
    }

    #[test]
    fn bars_fill_in_eighths() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0 / 32.0, 4), "▏");
        assert_eq!(bar(7.0, 4), "████");
    }
}
