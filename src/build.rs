//! Tells cargo that the program embeds the files below `queries`, new ones included.

fn main() {
    println!("cargo:rerun-if-changed=queries");
}
