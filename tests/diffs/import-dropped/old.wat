(component
  (import "ops:capability/fetch@0.1.0" (instance (export "fetch" (func))))
  (import "ops:capability/effects@0.1.0" (instance (export "perform" (func))))
)
