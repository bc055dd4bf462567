/** A reward function: the number of odd token ids in a completion. */
export default (rows) => rows.map(({ ids }) => ids.filter((id) => id % 2).length)
