#error "Linux has it alone"
