//! Models: what is asked of them and what they answer, in the words of two APIs, over HTTP or by way of the host.

pub mod anthropic;
pub mod chat;
pub mod client;
pub mod draft;
pub mod faults;
pub mod gate;
pub mod openai;
pub mod pool;
pub mod sampling;
pub mod stream;
pub mod structured;
