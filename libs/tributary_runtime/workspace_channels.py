"""A workspace's declaration -> the classifier of its channels.

The one rule: made here only, so that the door and `tributary classify` say the same of the same visit.
"""

from tributary_domain.channel import ChannelClassifier
from tributary_runtime.workspaces import Workspace


def channels_of(workspace: Workspace) -> ChannelClassifier:
    """Returns the classifier of a workspace's touchpoints."""
    return ChannelClassifier(
        workspace.own_domains, workspace.ignored_referrers, workspace.channel_rules, workspace.coupons
    )
