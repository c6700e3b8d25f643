"""Strict local platforms: real HTTP servers on loopback that refuse what the networks refuse.

Each has its own ground truth and commits faults on request. They know nothing of the library's own
values, so that they can judge it::

    with MastodonPlatform() as platform:
        platform.customer("ola").post("@shop My parcel is lost.")
        ...  # run the desk against platform.url
        assert [post.text for post in platform.posts] == [...]

`python -m supportflow.testing.platforms mastodon --port 0` runs one as a process of its own,
`… fake --class K` a made-up network in one of the reconcile classes.
"""
