"""What is left when it is over: report.html, pictures, summary.json."""
