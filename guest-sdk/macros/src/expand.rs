//! The code that the attribute writes: the function as it was, the constant `CAPABILITY`, and on wasm the export.

use proc_macro2::{Literal, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, LitStr, Result, ReturnType};

use crate::words::{Access, Kind, Need, Rule, RuleEffect, Safety, Words};

pub(crate) fn expand(words: &Words, function: &ItemFn) -> Result<TokenStream> {
    check(function)?;
    let entry = entry(&function.sig.ident);
    let Words { name, summary, .. } = words;
    let safety = match words.safety {
        Safety::ReadOnly => quote!(::ops_guest::Safety::ReadOnly),
        Safety::Mutating => quote!(::ops_guest::Safety::Mutating),
        Safety::Destructive => quote!(::ops_guest::Safety::Destructive),
    };
    let needs = words.needs.iter().map(need);
    let claims = claims();
    Ok(quote! {
        #function

        #[doc = concat!("The capability `", #name, "`.")]
        pub const CAPABILITY: ::ops_guest::Capability = ::ops_guest::Capability {
            describe: || ::ops_guest::private::manifest(
                #entry,
                ::ops_guest::private::About {
                    name: #name,
                    summary: #summary,
                    version: env!("CARGO_PKG_VERSION"),
                    safety: #safety,
                    needs: ::std::vec![#(#needs),*],
                },
            ),
            run: |ctx, arguments| ::ops_guest::private::call(#entry, ctx, arguments),
        };

        // Natively there is no export: its names cannot be linked there.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl ::ops_guest::raw::exports::ops::capability::guest::Guest for Component {
                fn describe() -> ::ops_guest::Manifest {
                    CAPABILITY.manifest()
                }

                fn run(input: ::ops_guest::Input) -> ::std::result::Result<::std::string::String, ::ops_guest::Failure> {
                    CAPABILITY.answer(input)
                }
            }

            ::ops_guest::raw::export!(Component with_types_in ::ops_guest::raw);

            #(#claims)*
            // So that a build with another revision is another build.
            const _: ::std::option::Option<&str> = option_env!("OPS_SOURCE_REVISION");
        };
    })
}

/// Custom sections for what the crate says of itself, by the names that `wasm-tools metadata` reads. They are claims: a
/// reviewer sees them, and nothing is decided by them. What the crate or the build does not say is left out.
fn claims() -> Vec<TokenStream> {
    let said = [
        ("version", "CARGO_PKG_VERSION"),
        ("licenses", "CARGO_PKG_LICENSE"),
        ("source", "CARGO_PKG_REPOSITORY"),
        ("homepage", "CARGO_PKG_HOMEPAGE"),
        ("revision", "OPS_SOURCE_REVISION"),
    ]
    .into_iter()
    .filter_map(|(section, variable)| {
        Some((section, std::env::var(variable).ok().filter(|text| !text.is_empty())?))
    });
    said.map(|(section, text)| {
        let (length, bytes) = (text.len(), Literal::byte_string(text.as_bytes()));
        quote! {
            const _: () = {
                #[used]
                #[unsafe(link_section = #section)]
                static CLAIM: [u8; #length] = *#bytes;
            };
        }
    })
    .collect()
}

/// The function's name where a wrong type is to be reported at the function.
fn entry(name: &Ident) -> TokenStream {
    quote_spanned!(name.span()=> #name)
}

fn check(function: &ItemFn) -> Result<()> {
    let form = "a capability is `fn name(ctx: &Ctx, input: Input) -> Result<Output, Failure>`";
    let signature = &function.sig;
    let wrong = if let Some(word) = &signature.asyncness {
        Some((word.span(), "a capability is not async: a run does one thing after the other"))
    } else if !signature.generics.params.is_empty() {
        Some((
            signature.generics.span(),
            "a capability has no type parameters: its schemas come from its types",
        ))
    } else if signature.inputs.len() != 2 {
        Some((signature.paren_token.span.join(), form))
    } else if matches!(signature.output, ReturnType::Default) {
        Some((signature.ident.span(), form))
    } else {
        None
    };
    wrong.map_or(Ok(()), |(span, why)| Err(Error::new(span, why)))
}

fn need(need: &Need) -> TokenStream {
    let Need { name, optional, kind } = need;
    match kind {
        Kind::Service(rules) => {
            let rules = rules.iter().map(rule);
            quote!(::ops_guest::private::service(#name, #optional, ::std::vec![#(#rules),*]))
        }
        Kind::Directory(Access::Read) => {
            quote!(::ops_guest::private::directory(#name, #optional, ::ops_guest::Access::Read))
        }
        Kind::Directory(Access::Stage) => {
            quote!(::ops_guest::private::directory(#name, #optional, ::ops_guest::Access::Stage))
        }
        Kind::Contract => quote!(::ops_guest::private::contract(#name, #optional)),
        Kind::Invoke => quote!(::ops_guest::private::invoke(#name, #optional)),
        Kind::Config(meaning) => quote!(::ops_guest::private::config(#name, #optional, #meaning)),
    }
}

fn rule(rule: &Rule) -> TokenStream {
    let Rule { path, query, headers, .. } = rule;
    let method = LitStr::new(&rule.method.to_string(), rule.method.span());
    let effect = match rule.effect {
        RuleEffect::Read => quote!(Read),
        RuleEffect::Mutate => quote!(Mutate),
        RuleEffect::Destroy => quote!(Destroy),
    };
    quote! {
        ::ops_guest::private::rule(#method, #path, ::ops_guest::RuleEffect::#effect, &[#(#query),*], &[#(#headers),*])
    }
}
