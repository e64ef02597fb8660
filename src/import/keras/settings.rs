//! A layer's configuration, read by name.

use serde_json::{Map, Value as Json};

use super::emit::{Step, Stop};
use crate::error::{Error, ErrorKind};

/// The configuration of one layer. What is absent has Keras' default, which the caller gives.
#[derive(Clone, Copy)]
pub struct Settings<'a>(pub &'a Map<String, Json>);

fn wrong<T>(name: &str, expected: &str, got: &Json) -> Step<T> {
    let mut text = got.to_string();
    if text.len() > 80 {
        text = format!("{}…", text.chars().take(80).collect::<String>());
    }
    Err(Stop::Error(Error::new(ErrorKind::InvalidModel, format!("\"{name}\": expected {expected}, got {text}"))))
}

impl<'a> Settings<'a> {
    /// What is set under `name`; null is nothing.
    pub fn get(&self, name: &str) -> Option<&'a Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub fn flag(&self, name: &str, default: bool) -> Step<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::Number(n)) if n.as_i64() == Some(0) || n.as_i64() == Some(1) => Ok(n.as_i64() == Some(1)),
            Some(other) => wrong(name, "true or false", other),
        }
    }

    pub fn text(&self, name: &str, default: &'static str) -> Step<&'a str> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::String(text)) => Ok(text),
            Some(other) => wrong(name, "a string", other),
        }
    }

    pub fn float(&self, name: &str, default: f64) -> Step<f64> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match number(value) {
                Some(number) => Ok(number),
                None => wrong(name, "a number", value),
            },
        }
    }

    /// A number, where one is set.
    pub fn some_float(&self, name: &str) -> Step<Option<f64>> {
        self.get(name).map(|_| self.float(name, 0.0)).transpose()
    }

    pub fn int(&self, name: &str, default: i64) -> Step<i64> {
        Ok(self.some_int(name)?.unwrap_or(default))
    }

    pub fn some_int(&self, name: &str) -> Step<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match integer(value) {
                Some(value) => Ok(Some(value)),
                None => wrong(name, "an integer", value),
            },
        }
    }

    /// A size that must be there, from 1 on.
    pub fn size(&self, name: &str) -> Step<usize> {
        match self.get(name).map(|value| (value, integer(value))) {
            Some((_, Some(size))) if (1..=i64::from(i32::MAX)).contains(&size) => Ok(size as usize),
            Some((value, _)) => wrong(name, "a size", value),
            None => wrong(name, "a size", &Json::Null),
        }
    }

    /// `count` sizes from `least` on; one number stands for all.
    pub fn sizes(&self, name: &str, count: usize, default: Option<usize>, least: i64) -> Step<Vec<usize>> {
        let value = match (self.get(name), default) {
            (Some(value), _) => value,
            (None, Some(default)) => return Ok(vec![default; count]),
            (None, None) => return wrong(name, "sizes", &Json::Null),
        };
        let good =
            |value: &Json| integer(value).filter(|&n| n >= least && n <= i64::from(i32::MAX)).map(|n| n as usize);
        let sizes = match value {
            Json::Array(items) if items.len() == count => items.iter().map(good).collect::<Option<Vec<_>>>(),
            Json::Array(items) if items.len() == 1 && count > 0 => good(&items[0]).map(|size| vec![size; count]),
            value => good(value).map(|size| vec![size; count]),
        };
        match sizes {
            Some(sizes) => Ok(sizes),
            None => wrong(name, &format!("{count} sizes"), value),
        }
    }

    /// Integers; one alone is a list of one.
    pub fn ints(&self, name: &str) -> Step<Option<Vec<i64>>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match integers(value) {
                Some(ints) => Ok(Some(ints)),
                None => wrong(name, "integers", value),
            },
        }
    }

    /// Numbers, however nested; one alone is a list of one.
    pub fn floats(&self, name: &str) -> Step<Option<Vec<f64>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let mut all = Vec::new();
        if flatten(value, &mut all, 0) { Ok(Some(all)) } else { wrong(name, "numbers", value) }
    }
}

fn flatten(value: &Json, all: &mut Vec<f64>, depth: usize) -> bool {
    match value {
        Json::Array(items) => depth < 16 && items.iter().all(|item| flatten(item, all, depth + 1)),
        // A numpy array, as Keras 3 writes it.
        Json::Object(object) => {
            object.get("config").and_then(|c| c.get("value")).is_some_and(|value| flatten(value, all, depth + 1))
        }
        value => match number(value) {
            Some(number) => {
                all.push(number);
                true
            }
            None => false,
        },
    }
}

/// The number that `value` is.
pub fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => number.as_f64(),
        Json::Object(object) => object.get("config").and_then(|config| config.get("value")).and_then(Json::as_f64),
        Json::String(text) => match text.as_str() {
            "inf" | "Infinity" => Some(f64::INFINITY),
            "-inf" | "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// The integer that `value` is, a whole float too.
pub fn integer(value: &Json) -> Option<i64> {
    let number = value.as_number()?;
    number.as_i64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e15).map(|f| f as i64))
}

/// The integers that `value` is.
pub fn integers(value: &Json) -> Option<Vec<i64>> {
    match value {
        Json::Array(items) => items.iter().map(integer).collect(),
        value => integer(value).map(|value| vec![value]),
    }
}
