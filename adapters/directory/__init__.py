"""What directories have in common, wherever they are kept: on an LDAP server or in an LDIF file.

Promises that both adapters give the same answers: how names compare (`names`), what an account and a group are
(`entries`, `groups`), how an account is locked (`locking`), created (`creating`) and moved (`leavers`), how an
observation comes about (`reading`), what of the settings a schema does not know (`vocabulary`), and how steps become
few modifications (`writing`). Nothing here knows a wire or a file: both stand behind the two protocols in
`entries`.
"""
