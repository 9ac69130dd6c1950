(component
  (import "ops:capability/fetch@0.1.0" (instance (export "fetch" (func))))
  (import "wasi:io/poll@0.2.6" (instance (export "poll" (func))))
)
