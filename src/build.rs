//! Tells cargo that the program embeds the files below `queries` and `tests/queries`, new ones included.

fn main() {
    println!("cargo:rerun-if-changed=queries");
    println!("cargo:rerun-if-changed=tests/queries");
}
