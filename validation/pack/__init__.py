"""The pack of networks: which they are, and how their structure files are made."""
