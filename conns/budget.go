package conns

// A Budget shares out the descriptors that the process may have.
type Budget struct {
	// Ingress and API are how many connections the ingress, and each listener of the
	// API, may have.
	Ingress, API int
	// Index is how many files the index may keep open.
	Index int
}

const (
	// mostIngress is what the ingress has where descriptors are plenty: a connection
	// takes some 40 KB while a request comes, and senders need few.
	mostIngress = 8192
	// leastReserve and mostReserve bound what is kept from connections: for the log
	// and its index, for what goes out, for what we did not think of.
	leastReserve, mostReserve = 64, 4096
	// mostIndex is the index's own default.
	leastIndex, mostIndex = 32, 1000
)

// BudgetOf shares out that many descriptors.
func BudgetOf(descriptors int) Budget {
	reserve := min(max(descriptors*2/5, leastReserve), mostReserve)
	left := max(descriptors-reserve, 16)
	ingress := min(left/2, mostIngress)
	return Budget{
		Ingress: max(ingress, 8),
		API:     max((left-ingress)/2, 4),
		Index:   min(max(reserve/3, leastIndex), mostIndex),
	}
}

// ThisBudget shares out what this process may have.
func ThisBudget() Budget { return BudgetOf(descriptors()) }
