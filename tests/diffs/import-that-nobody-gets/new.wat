(component
  (import "ops:capability/fetch@0.1.0" (instance (export "fetch" (func))))
  (import "wasi:sockets/tcp@0.2.6" (instance (export "connect" (func))))
)
