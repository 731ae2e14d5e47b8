"""The stages in order; every port is passed in; decides nothing."""
