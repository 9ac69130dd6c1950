(component
  (import "ops:capability/fetch@0.1.0" (instance (export "fetch" (func))))
  (import "wasi:cli/environment@0.2.6" (instance (export "get-environment" (func))))
)
