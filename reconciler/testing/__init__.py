"""What the author of an adapter tests it with: the contract suites, as classes to inherit.

`reconciler.testing.targets` has `TargetContract` and the `Lab` it asks for, `reconciler.testing.sources` has
`SourceContract`; `reconciler.testing.memory` has a target for tests of what uses targets. The suites need pytest, which
the extra `testing` brings; the pytest plug-in that comes with us makes their failed assertions as readable as those in
a test module. Nothing that runs imports this package.
"""
