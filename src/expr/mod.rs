//! The expression language of workflows: `${ … }`, `$root.path` and conditions, computed over a lazily looked-up scope.
//!
//! Pure and bounded: an expression reads no clock, file or chance, and may neither run long nor grow large. The only
//! folder that names the `minijinja` crate. A source goes through it in this order:
//! `surface` writes our spelling in Jinja's, `lower` makes every path of names strict or tolerant and lists what is
//! referred to, the engine compiles and runs the result, and `diagnosis` says what went wrong in the author's words.

mod access;
mod bounds;
mod diagnosis;
mod engine;
mod filters;
mod lower;
mod methods;
mod names;
mod order;
mod path;
mod rewrite;
mod surface;

pub mod error;
pub mod expression;
pub mod scope;
pub mod template;
pub mod text;
pub mod value;

#[cfg(test)]
mod fixture;
