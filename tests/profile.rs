//! What a profile says of a run: every node in order, its times within the run's, and the
//! multiply-adds that a count by hand gives.

mod support;

use firebrand::ops::MultiplyAdds;
use firebrand::runtime::Profile;
use firebrand::{DataType, DeviceKind, Feed, GraphOptimizationLevel, RunOptions, Session, SessionOptions, Tensor};
use support::{Builder, Random, Single, f32s, tensor_type};

fn profiled(session: &Session, feeds: Vec<(String, Feed)>) -> Profile {
    let mut profile = Profile::default();
    let options = RunOptions { profile: Some(&mut profile), ..RunOptions::default() };
    session.run_blocking(feeds, options).unwrap_or_else(|e| panic!("{e}"));
    profile
}

#[test]
fn every_node_that_ran_is_told_in_order() {
    let model = Builder::new(17).input("x", tensor_type(DataType::Float32, &["2", "3"]));
    let model = model.constant("w", f32s(&[3, 4], vec![0.5; 12])).constant("b", f32s(&[4], vec![4.0; 4]));
    let model = model.node("Sqrt", &["b"], &["root"], &[]).node("MatMul", &["x", "w"], &["product"], &[]);
    let model = model.node("Add", &["product", "root"], &["y"], &[]).node("Relu", &["y"], &["other"], &[]);
    let apart = SessionOptions { graph_optimization_level: GraphOptimizationLevel::Disabled, ..Default::default() };
    let model = model.output("y").output("other").model();
    let session = Session::load_blocking(model, apart).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(session.peak_bytes(), 0);
    let feeds = || vec![("x".to_string(), f32s(&[2, 3], vec![1.0; 6]).into())];
    let mut profile = profiled(&session, feeds());
    let told: Vec<(&str, &str)> = profile.nodes.iter().map(|n| (n.name.as_str(), n.op_type.as_str())).collect();
    assert_eq!(told, [("MatMul_1", "MatMul"), ("Add_2", "Add"), ("Relu_3", "Relu")]);
    let bytes: Vec<(u64, u64)> = profile.nodes.iter().map(|n| (n.bytes_read, n.bytes_written)).collect();
    assert_eq!(bytes, [(4 * 18, 4 * 8), (4 * 12, 4 * 8), (4 * 8, 4 * 8)]);
    // The input and the product; then the sum, and then the outputs beside nothing else.
    assert_eq!(session.peak_bytes(), 4 * 16);
    let mut end = std::time::Duration::ZERO;
    for node in &profile.nodes {
        assert_eq!((node.device, node.outputs.len()), (DeviceKind::Cpu, 1));
        let info = node.outputs[0].as_ref().expect("a tensor");
        assert_eq!((info.dtype, &info.shape[..]), (DataType::Float32, &[2, 4][..]));
        assert!(node.start >= end, "{profile:?}");
        end = node.start + node.duration;
    }
    assert!(end <= profile.duration, "{profile:?}");
    let share = profile.nodes[0].share_of(&profile.peak, profile.nodes[0].duration).expect("a product's share");
    assert!(share > 0.0 && share < 1.0, "{profile:?}");
    assert_eq!(profile.nodes[1].share_of(&profile.peak, profile.nodes[1].duration), None);
    // A profile is of one run.
    let options = RunOptions { profile: Some(&mut profile), outputs: Some(vec!["y".into()]), ..RunOptions::default() };
    session.run_blocking(feeds(), options).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(profile.nodes.len(), 2);
}

/// The multiply-adds of one node.
fn counted(single: &Single, inputs: Vec<Tensor>) -> MultiplyAdds {
    let inputs: Vec<Option<Feed>> = inputs.into_iter().map(|tensor| Some(tensor.into())).collect();
    let (session, feeds) = single.build(&inputs, false).unwrap_or_else(|e| panic!("{e}"));
    let profile = profiled(&session, feeds);
    assert_eq!(profile.nodes.len(), 1);
    profile.nodes[0].multiply_adds
}

fn floats(count: u64) -> MultiplyAdds {
    MultiplyAdds { float: count, int8: 0 }
}

fn codes(count: u64) -> MultiplyAdds {
    MultiplyAdds { float: 0, int8: count }
}

#[test]
fn convolutions_are_counted() {
    let mut random = Random::new(1);
    let mut tensor = |shape: &[usize]| random.tensor(shape);
    // 6 channels of 3 × 4 sums of 2 · 3 · 3 products.
    let conv = Single::new("Conv", 17).int("group", 2).ints("pads", &[1; 4]).ints("strides", &[2, 2]);
    assert_eq!(counted(&conv, vec![tensor(&[1, 4, 5, 7]), tensor(&[6, 2, 3, 3]), tensor(&[6])]), floats(6 * 12 * 18));
    let fused = Single::new("com.microsoft.FusedConv", 1).int("group", 2).string("activation", "Relu");
    assert_eq!(counted(&fused, vec![tensor(&[1, 4, 5, 7]), tensor(&[6, 2, 3, 3])]), floats(6 * 15 * 18));
    // 4 · 5 · 7 elements, each times 3 · 2 · 2 of the kernel.
    let transposed = Single::new("ConvTranspose", 17).int("group", 2).ints("strides", &[3, 3]);
    assert_eq!(counted(&transposed, vec![tensor(&[1, 4, 5, 7]), tensor(&[4, 3, 2, 2])]), floats(140 * 12));
    let bytes = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::from_vec(shape.to_vec(), vec![3u8; count]).expect("elements that fill the shape")
    };
    let integers = Single::new("ConvInteger", 10);
    assert_eq!(counted(&integers, vec![bytes(&[1, 2, 4, 4]), bytes(&[5, 2, 3, 3])]), codes(5 * 4 * 18));
}

#[test]
fn products_are_counted() {
    let mut random = Random::new(2);
    let mut tensor = |shape: &[usize]| random.tensor(shape);
    let product = Single::new("MatMul", 13);
    assert_eq!(counted(&product, vec![tensor(&[2, 1, 3, 5]), tensor(&[4, 5, 6])]), floats(2 * 4 * 3 * 5 * 6));
    assert_eq!(counted(&product, vec![tensor(&[5]), tensor(&[5])]), floats(5));
    assert_eq!(counted(&product, vec![tensor(&[0, 5]), tensor(&[5, 2])]), floats(0));
    assert_eq!(counted(&Single::new("Gemm", 13), vec![tensor(&[3, 5]), tensor(&[5, 2])]), floats(3 * 5 * 2));
    let turned = Single::new("Gemm", 13).int("transA", 1).int("transB", 1);
    assert_eq!(counted(&turned, vec![tensor(&[5, 3]), tensor(&[2, 5])]), floats(3 * 5 * 2));
    let fused = Single::new("com.microsoft.FusedMatMul", 1).int("transA", 1).int("transBatchB", 1);
    assert_eq!(counted(&fused, vec![tensor(&[7, 5, 3]), tensor(&[5, 7, 2])]), floats(7 * 3 * 5 * 2));
    let codes_of = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::from_vec(shape.to_vec(), vec![3i8; count]).expect("elements that fill the shape")
    };
    let integers = Single::new("MatMulInteger", 10);
    assert_eq!(counted(&integers, vec![codes_of(&[3, 5]), codes_of(&[5, 2])]), codes(30));
    let equation = Single::new("Einsum", 12).string("equation", "bij,bkj->bik");
    assert_eq!(counted(&equation, vec![tensor(&[2, 3, 5]), tensor(&[2, 4, 5])]), floats(2 * 3 * 5 * 4));
}

#[test]
fn attention_and_recurrent_layers_are_counted() {
    let mut random = Random::new(3);
    let mut tensor = |shape: &[usize]| random.tensor(shape);
    // Of each of 2 · 3 heads' 4 queries with 5 keys: scores over 6 elements, sums of 7.
    let attention = Single::new("Attention", 23);
    let given = vec![tensor(&[2, 3, 4, 6]), tensor(&[2, 3, 5, 6]), tensor(&[2, 3, 5, 7])];
    assert_eq!(counted(&attention, given), floats(2 * 3 * 4 * 5 * (6 + 7)));
    let multi = Single::new("com.microsoft.MultiHeadAttention", 1).int("num_heads", 2);
    let given = vec![tensor(&[1, 4, 6]), tensor(&[1, 5, 6]), tensor(&[1, 5, 8])];
    assert_eq!(counted(&multi, given), floats(2 * 4 * 5 * (3 + 4)));
    // The projection of 4 places from 6 to 3 · 8, then attention.
    let projected = Single::new("com.microsoft.Attention", 1).int("num_heads", 2);
    let given = vec![tensor(&[1, 4, 6]), tensor(&[6, 24]), tensor(&[24])];
    assert_eq!(counted(&projected, given), floats(4 * 6 * 24 + 2 * 4 * 4 * (4 + 4)));
    // 7 steps of 2 rows: 4 gates of 3 from 5 inputs and 3 of state, in two directions.
    let lstm = Single::new("LSTM", 14).int("hidden_size", 3).string("direction", "bidirectional").outputs(3);
    let given = vec![tensor(&[7, 2, 5]), tensor(&[2, 12, 5]), tensor(&[2, 12, 3])];
    assert_eq!(counted(&lstm, given), floats(2 * 7 * 2 * 12 * (5 + 3)));
}
