/// Writes a struct of numbers that only grow, the list of them for a metrics page, and the sum of two, so that none
/// can be forgotten in either.
///
/// ```
/// amphi_media::counters! {
///     /// What a door has seen.
///     pub struct Door {
///         opened,
///         /// By the wind.
///         closed,
///     }
/// }
/// let mut sum = Door { opened: 2, ..Door::default() };
/// sum.add(&Door { opened: 1, closed: 1 });
/// assert_eq!(sum.list().collect::<Vec<_>>(), [("opened", 3), ("closed", 1)]);
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$outer:meta])* pub struct $type:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $type {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $type {
            /// Every number with its name.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds another's numbers to these.
            pub fn add(&mut self, other: &$type) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}
