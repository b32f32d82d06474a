package watch

// MinWidth is the narrowest terminal that the ladder is drawn on, in cells.
const MinWidth = 72
