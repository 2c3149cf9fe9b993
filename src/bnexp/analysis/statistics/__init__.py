"""What finished runs say, and how surely: functions of plain numbers that know no run folder, no Hydra and no torch."""
