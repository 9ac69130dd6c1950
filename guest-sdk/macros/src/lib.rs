//! The attribute `capability`, which turns one function into a component.
//!
//! `words` reads what stands in the attribute and says which word is wrong; `expand` writes the code. What a need
//! means is checked by the host again: the attribute's checks are there to tell an author early.

mod expand;
mod words;

use proc_macro::TokenStream;

/// Turns a function into a capability.
///
/// ```text
/// #[capability(
///     name = "domain.noun.verb",
///     summary = "What it does, in one sentence.",
///     safety = "read-only",                                // or "mutating", "destructive"
///     needs(
///         service("web",
///             rule(GET "/items/{id}", read, query("since")),
///             rule(PUT "/items/{id}", mutate, headers("idempotency-key")),   // read, mutate or destroy
///             rule(DELETE "/items/{id}", destroy, undo)),                    // in a stated undo only
///         service("mail", optional, rule(GET "/.well-known/jmap", read)),
///         directory("outbox", stage),                      // read or stage
///         contract("communications.stack.contract.yaml"),
///         config("from", "The sender's address."),
///     )
/// )]
/// fn verb(ctx: &Ctx, input: Input) -> Result<Output, Failure> { … }
/// ```
///
/// `optional` may stand in any need: the capability is then started without it, and can ask
/// `ctx.is_bound(…)`. `undo` marks a rule of requests that effects state as their undo: it may do more than `safety`
/// says, because the host sends it, in a plan of its own. A path is exact; `{x}` stands for one segment and a final `/**` for the rest. The version is
/// that of the crate. `Input` needs `Deserialize` and `JsonSchema`, `Output` needs `Serialize` and `JsonSchema`;
/// their doc comments become the descriptions of the schemas.
///
/// Beside the function there will be `pub const CAPABILITY`, which tests run in a scripted world. A crate holds one
/// capability, in the root of its `lib.rs`, with `crate-type = ["cdylib", "rlib"]`.
#[proc_macro_attribute]
pub fn capability(words: TokenStream, item: TokenStream) -> TokenStream {
    let words = syn::parse_macro_input!(words as words::Words);
    let function = syn::parse_macro_input!(item as syn::ItemFn);
    expand::expand(&words, &function).unwrap_or_else(|error| error.into_compile_error()).into()
}
