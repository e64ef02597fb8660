fn load_a(m: u32, k: u32) -> f32 {
    return a[a0 + m * p.depth + k];
}
