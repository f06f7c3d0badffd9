-- now, then ids: views of those that are present
local views = {}
for at = 2, #ARGV do
  settle(ARGV[at], ARGV[1])
  views[#views + 1] = view(ARGV[at])
end
return views
