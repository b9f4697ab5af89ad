"""From DP-GEN's param.json and machine.json to a campaign.yaml, with an account of every key."""
