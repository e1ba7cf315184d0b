"""The nonlinearities between layers: functions and layers."""
