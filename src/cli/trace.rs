//! A profile as a trace for chrome://tracing, Perfetto and their like: the same JSON as
//! `toChromeTrace` gives in JavaScript.

use firebrand::runtime::{NodeProfile, Profile};
use serde_json::{Value, json};

/// The trace of `profile`, a run of `model`.
pub fn chrome_trace(model: &str, profile: &Profile) -> Value {
    let micros = |duration: std::time::Duration| duration.as_secs_f64() * 1e6;
    let run = json!({
        "name": "run", "cat": "run", "ph": "X", "pid": 1, "tid": 1, "ts": 0, "dur": micros(profile.duration),
    });
    let node = |node: &NodeProfile| {
        let share = node.share_of(&profile.peak, node.duration);
        let shapes = node.outputs.iter().map(|info| info.as_ref().map_or(String::new(), ToString::to_string));
        let mut event = json!({
            "name": node.name, "cat": node.op_type, "ph": "X", "pid": 1, "tid": 1,
            "ts": micros(node.start), "dur": micros(node.duration),
            "args": {
                "operator": node.op_type,
                "device": node.device.as_str(),
                "multiplyAdds": node.multiply_adds.total(),
                "bytesRead": node.bytes_read,
                "bytesWritten": node.bytes_written,
                "outputs": shapes.collect::<Vec<_>>().join(", "),
            },
        });
        if let Some(share) = share {
            event["args"]["shareOfPeak"] = json!(share);
        }
        event
    };
    let named = json!({ "name": "process_name", "ph": "M", "pid": 1, "tid": 1, "args": { "name": model } });
    let events: Vec<Value> = [named, run].into_iter().chain(profile.nodes.iter().map(node)).collect();
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}
