"""Questions about policy revisions: who gains and loses what if one takes the place of another.

`revisions` reads policy trees out of git's objects, `meaning` tells whether two policies can differ for anybody at all,
`impact` what they do to the people there are, `impact_markdown` how a reviewer reads it.
"""
