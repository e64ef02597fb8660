fn load_b(k: u32, n: u32) -> vec4<f32> {
    let at = x0 + k * p.columns + n;
    {{load}}
}
