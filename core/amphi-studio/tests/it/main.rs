//! Behaviour of the program, in made-up time with made-up people and codecs that pass samples through.

mod canvas;
mod clocks;
mod codecs;
mod composed;
mod cost;
mod cut;
mod hostile;
mod layers;
mod layout;
mod loudness;
mod sound;
mod sync;
mod world;
